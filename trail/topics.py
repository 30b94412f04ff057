"""Edge: creates the topics of `schemas.topics` that are missing, and checks those that are there."""

import asyncio
import time
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from penstock.schemas.addresses import kafka_client
from penstock.schemas.errors import ServiceUnavailable, TopicLayoutError
from penstock.schemas.settings import Settings
from penstock.schemas.topics import MAX_MESSAGE_BYTES, TOPICS, Topic

LEADERS_WITHIN_S: Final = 30.0
_EXACT: Final = ("cleanup.policy", "message.timestamp.type")


async def ensure_topics(settings: Settings) -> list[str]:
    """The names of the topics that had to be created; all topics exist, have leaders and are laid out right after it.

    May be called by several processes at once, and again at any time. TopicLayoutError where an existing topic has
    another partition count, cleanup, timestamp type or a smaller message limit (retention may be changed by its
    operator); ServiceUnavailable where Kafka does not answer.
    """
    admin = AIOKafkaAdminClient(**kafka_client(settings))
    try:
        await admin.start()
        missing = await _missing(admin)
        created = await _create(admin, missing, settings)
        await _wait_for_leaders(admin, settings)
        await _check_config(admin)
    except (KafkaError, OSError) as error:
        raise ServiceUnavailable(f"Kafka does not answer: {error}; is it running?") from error
    finally:
        await admin.close()
    return created


async def _missing(admin: AIOKafkaAdminClient) -> list[Topic]:
    there = set(await admin.list_topics())
    return [topic for topic in TOPICS if topic.name not in there]


async def _create(admin: AIOKafkaAdminClient, wanted: list[Topic], settings: Settings) -> list[str]:
    if not wanted:
        return []
    answer = await admin.create_topics(
        [
            NewTopic(
                topic.name,
                topic.partitions or settings.kafka.partitions,
                settings.kafka.replication_factor,
                topic_configs=topic.config(),
            )
            for topic in wanted
        ]
    )
    created = []
    for name, code, *rest in answer.topic_errors:
        error = for_code(code)
        if code == 0:
            created.append(name)
        elif error is not TopicAlreadyExistsError:
            reason = rest[0] if rest and rest[0] else error.__name__
            raise TopicLayoutError(f"Kafka refused to create {name}: {reason}")
    return created


async def _wait_for_leaders(admin: AIOKafkaAdminClient, settings: Settings) -> None:
    deadline = time.monotonic() + LEADERS_WITHIN_S
    while True:
        described = await admin.describe_topics([topic.name for topic in TOPICS])
        found = {row["topic"]: row for row in described if row["error_code"] == 0}
        waiting = [topic.name for topic in TOPICS if not _has_leaders(found.get(topic.name))]
        if not waiting:
            return _check_partitions(found, settings)
        if time.monotonic() > deadline:
            raise ServiceUnavailable(
                f"{waiting[0]} has no leader after {LEADERS_WITHIN_S:.0f} s: look at the broker's log"
            )
        await asyncio.sleep(0.1)


def _has_leaders(row: dict[str, Any] | None) -> bool:
    return row is not None and all(partition["leader"] >= 0 for partition in row["partitions"])


def _check_partitions(found: dict[str, dict[str, Any]], settings: Settings) -> None:
    for topic in TOPICS:
        has, wants = len(found[topic.name]["partitions"]), topic.partitions or settings.kafka.partitions
        if has != wants:
            raise TopicLayoutError(
                f"{topic.name} has {has} partitions, penstock.yaml says {wants} (kafka.partitions): set the file to "
                f"what the broker has; a topic with events in it must not get other partitions"
            )


async def _check_config(admin: AIOKafkaAdminClient) -> None:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in TOPICS])
    found: dict[str, dict[str, str]] = {}
    for answer in answers:
        for resource in answer.to_object()["resources"]:
            entries = resource["config_entries"]
            found[resource["resource_name"]] = {entry["config_names"]: entry["config_value"] for entry in entries}
    for topic in TOPICS:
        has, wants = found[topic.name], topic.config()
        wrong = [key for key in _EXACT if has[key] != wants[key]]
        if int(has["max.message.bytes"]) < MAX_MESSAGE_BYTES:
            wrong.append("max.message.bytes")
        if wrong:
            raise TopicLayoutError(
                f"{topic.name} has {wrong[0]}={has[wrong[0]]}, it must be {wants[wrong[0]]}: alter the topic's "
                f"configuration with your broker's tools"
            )
