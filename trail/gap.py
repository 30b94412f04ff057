"""Edge: gaps on record, and the decision to go on without what Kafka no longer has.

committed offset < start of the log ──▶ worker refuses to start ──▶ accept: act acknowledged ──▶ offset committed
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from penstock.schemas.addresses import kafka_client
from penstock.schemas.errors import ServiceUnavailable, UsageError
from penstock.schemas.settings import Settings
from penstock.schemas.topics import AUDIT, TOPICS

from .lost import Lost, acceptance, lost_offsets
from .store import connect, store_errors

_GROUP_MOVED: Final = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)
_GAPS: Final = """
    SELECT at, act, subject, actor, reason, details FROM penstock.audit FINAL
    WHERE act IN ('gap', 'gap_accepted') ORDER BY at, event_id
"""


@dataclass(frozen=True, slots=True)
class GapOnRecord:
    """One act `gap` or `gap_accepted`. `at` is ISO 8601, UTC."""

    at: str
    act: str
    subject: str
    actor: str
    reason: str
    details: dict[str, Any]


def read_gaps(settings: Settings) -> list[GapOnRecord]:
    """Every gap that the trail names, oldest first. ServiceUnavailable where the store does not answer."""
    client = connect(settings, "reader")
    try:
        with store_errors():
            rows = client.query(_GAPS).result_rows
    finally:
        client.close()
    return [
        GapOnRecord(at.isoformat(), act, subject, actor, reason, json.loads(details))
        for at, act, subject, actor, reason, details in rows
    ]


async def find_lost(settings: Settings, group: str) -> list[Lost]:
    """What `group` has yet to read and Kafka no longer holds. ServiceUnavailable where Kafka does not answer."""
    async with _admin(settings) as admin, _consumer(settings, group) as consumer:
        marks = await admin.list_consumer_group_offsets(group)
        committed = {(place.topic, place.partition): mark.offset for place, mark in marks.items()}
        ours = {topic.name for topic in TOPICS} & {name for name, _ in committed}
        there = {
            TopicPartition(row["topic"], partition["partition"])
            for row in (await admin.describe_topics(sorted(ours)) if ours else ())
            for partition in row["partitions"]
        }
        starts = await consumer.beginning_offsets(sorted(there)) if there else {}
    return lost_offsets(group, committed, {(place.topic, place.partition): start for place, start in starts.items()})


async def accept(settings: Settings, losses: Sequence[Lost], actor: str, reason: str, at_us: int) -> None:
    """Puts the loss on the audit topic and, once Kafka has acknowledged that, lets the group begin behind it.

    All of `losses` are of one group. UsageError where a worker of the group runs: then nothing is committed, and
    nothing published unless it joined in between. ServiceUnavailable: whether anything happened is unknown. Both may
    be answered by calling again, with what `find_lost` finds then.
    """
    group = losses[0].group
    async with _admin(settings) as admin:
        members = await _members(admin, group)
    if members:
        raise _runs(group, ", ".join(members))
    async with _producer(settings) as producer:
        for lost in losses:
            record = acceptance(lost, actor, reason, at_us)
            await producer.send_and_wait(AUDIT, record.value, key=record.subject.encode(), headers=record.headers())
    marks = {TopicPartition(lost.topic, lost.partition): lost.last_offset + 1 for lost in losses}
    async with _consumer(settings, group) as consumer:
        consumer.assign(list(marks))
        try:
            await consumer.commit(marks)
        except _GROUP_MOVED as error:
            raise _runs(group, "one that has just joined") from error


def _runs(group: str, members: str) -> UsageError:
    return UsageError(
        f"{group} has members ({members}): stop its workers first; Kafka counts one that has ended until "
        "streams.session_timeout_s has passed"
    )


async def _members(admin: AIOKafkaAdminClient, group: str) -> list[str]:
    (answer,) = await admin.describe_consumer_groups([group])
    (found,) = answer.to_object()["groups"]
    return [str(member.get("group_instance_id") or member["client_id"]) for member in found["members"]]


@asynccontextmanager
async def _kafka_errors() -> AsyncIterator[None]:
    try:
        yield
    except (KafkaError, OSError) as error:
        raise ServiceUnavailable(f"Kafka does not answer ({type(error).__name__}): is it running?") from error


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**kafka_client(settings))
    async with _kafka_errors():
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()


@asynccontextmanager
async def _consumer(settings: Settings, group: str) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(group_id=group, enable_auto_commit=False, **kafka_client(settings))
    async with _kafka_errors():
        try:
            await consumer.start()
            yield consumer
        finally:
            await consumer.stop()


@asynccontextmanager
async def _producer(settings: Settings) -> AsyncIterator[Any]:
    producer = AIOKafkaProducer(acks="all", enable_idempotence=True, **kafka_client(settings))
    async with _kafka_errors():
        try:
            await producer.start()
            yield producer
        finally:
            await producer.stop()
