"""A worker refuses to start where Faust would lose records without a word."""

from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from penstock.schemas import topics
from penstock.schemas.addresses import kafka_client
from penstock.schemas.errors import OffsetLostError, ServiceUnavailable, TopicLayoutError
from penstock.schemas.settings import Kafka, Settings
from penstock.streams.layout import check_offsets, check_partitions
from penstock.trail.topics import ensure_topics

GROUP = "test-layout"
PLACE = TopicPartition(topics.COVERAGE, 0)


@pytest.fixture
def broker(kafka_bootstrap: str, service_settings: Settings) -> Iterator[Settings]:
    assert kafka_bootstrap
    yield service_settings


@pytest.mark.services
async def test_partition_counts_are_checked(broker: Settings) -> None:
    await ensure_topics(broker)
    await check_partitions(broker, [topics.TRAFFIC, topics.CONTROL])
    kafka = Kafka.model_validate({"embedded": {"listen": "127.0.0.1:0"}, "partitions": 7})
    with pytest.raises(TopicLayoutError, match=r"traffic\.v1 has 4 partitions, kafka\.partitions says 7"):
        await check_partitions(broker.model_copy(update={"kafka": kafka}), [topics.CONTROL, topics.TRAFFIC])


@pytest.mark.services
async def test_a_committed_offset_below_the_log_is_refused(broker: Settings) -> None:
    await ensure_topics(broker)
    await check_offsets(broker, GROUP, [topics.COVERAGE])
    async with AIOKafkaProducer(**kafka_client(broker)) as producer:
        for _ in range(3):
            found = await producer.send_and_wait(topics.COVERAGE, b"x", partition=0)
    async with AIOKafkaConsumer(group_id=GROUP, enable_auto_commit=False, **kafka_client(broker)) as consumer:
        consumer.assign([PLACE])
        await consumer.commit({PLACE: found.offset - 1})
        await check_offsets(broker, GROUP, [topics.COVERAGE])
        admin = AIOKafkaAdminClient(**kafka_client(broker))
        await admin.start()
        await admin.delete_records({PLACE: RecordsToDelete(before_offset=found.offset)})
        await admin.close()
        with pytest.raises(OffsetLostError, match="1 records are lost"):
            await check_offsets(broker, GROUP, [topics.COVERAGE])
        await consumer.commit({PLACE: found.offset})
    await check_offsets(broker, GROUP, [topics.COVERAGE])


async def test_a_broker_that_is_away_is_said_to_be_away() -> None:
    settings = Settings.model_validate({"kafka": {"bootstrap_servers": "127.0.0.1:1"}})
    with pytest.raises(ServiceUnavailable, match="Kafka does not answer"):
        await check_partitions(settings, [topics.TRAFFIC])
