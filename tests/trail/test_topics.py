"""Topics are created once, and a wrong layout is refused."""

import asyncio
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from penstock.schemas.addresses import kafka_client
from penstock.schemas.errors import ServiceUnavailable, TopicLayoutError
from penstock.schemas.settings import Settings
from penstock.schemas.topics import CHECKPOINTS, TOPICS, TRAFFIC
from penstock.trail import topics
from penstock.trail.topics import ensure_topics

pytestmark = pytest.mark.services


async def test_topics_are_created_once_also_by_two_at_once(trail_services: Settings) -> None:
    both = await asyncio.gather(ensure_topics(trail_services), ensure_topics(trail_services))
    assert both == [[], []]
    admin = AIOKafkaAdminClient(**kafka_client(trail_services))
    await admin.start()
    described = {row["topic"]: len(row["partitions"]) for row in await admin.describe_topics()}
    await admin.close()
    assert {topic.name for topic in TOPICS} <= set(described)
    assert (described[TRAFFIC], described[CHECKPOINTS]) == (trail_services.kafka.partitions, 1)


async def test_another_partition_count_is_refused(trail_services: Settings) -> None:
    kafka = trail_services.kafka.model_copy(update={"partitions": 5})
    with pytest.raises(TopicLayoutError, match=r"has 4 partitions, penstock\.yaml says 5"):
        await ensure_topics(trail_services.model_copy(update={"kafka": kafka}))


async def test_another_cleanup_is_refused(trail_services: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = topics.Topic("test.trail.topics.wrong", "", "", (), (), 1000, partitions=1, cleanup="compact")
    admin = AIOKafkaAdminClient(**kafka_client(trail_services))
    await admin.start()
    await admin.create_topics(
        [NewTopic(wrong.name, 1, 1, topic_configs={**wrong.config(), "cleanup.policy": "delete"})]
    )
    await admin.close()
    monkeypatch.setattr(topics, "TOPICS", (wrong,))
    with pytest.raises(TopicLayoutError, match=r"cleanup\.policy=delete, it must be compact"):
        await ensure_topics(trail_services)


async def test_a_broker_that_is_away_is_said(tmp_path: Path) -> None:
    settings = Settings.model_validate({"kafka": {"bootstrap_servers": "127.0.0.1:1"}, "base": tmp_path})
    with pytest.raises(ServiceUnavailable, match="Kafka does not answer"):
        await ensure_topics(settings)
