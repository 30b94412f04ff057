"""Parts of a partition are read again beside the group that follows it."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from penstock.schemas.ids import new_exchange_id
from penstock.streams.rewind import Rewinder
from penstock.streams.running import born_at_us

pytestmark = pytest.mark.services
TOPIC = "test-rewind"
RECORDS = 30


@pytest.fixture
async def rewinder(kafka_bootstrap: str) -> AsyncIterator[Rewinder]:
    """A topic of one partition that holds some records."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, 1, 1, topic_configs={"message.timestamp.type": "LogAppendTime"})])
        async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
            for number in range(RECORDS):
                await producer.send_and_wait(TOPIC, b"%d" % number, partition=0)
        yield Rewinder({"bootstrap_servers": kafka_bootstrap})
    finally:
        await admin.delete_topics([TOPIC])
        await admin.close()


async def test_parts_and_first_offsets(rewinder: Rewinder) -> None:
    whole = [record.value async for record in rewinder.whole(TOPIC, 0)]
    assert whole == [b"%d" % number for number in range(RECORDS)]
    assert [record.value async for record in rewinder.part(TOPIC, 0, 7, 12)] == whole[7:12]
    assert [record.value async for record in rewinder.part(TOPIC, 0, 12, 12)] == []
    assert await rewinder.first_offset(TOPIC, 0, [("a", 9), ("b", 4)], 20) == 4
    assert await rewinder.first_offset(TOPIC, 0, [("not a UUID", None)], 20) == 20
    assert await rewinder.first_offset(TOPIC, 0, [(new_exchange_id(), None), ("b", 9)], 20) == 0


def test_only_a_uuid_of_version_7_holds_a_time() -> None:
    assert born_at_us("01a20c35-0000-7000-8000-000000000001", 5) == 0x01A20C350000 * 1000
    assert born_at_us("01a20c35-0000-4000-8000-000000000001", 5) == 5
    assert born_at_us("x", 5) == 5
