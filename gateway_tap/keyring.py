"""Edge: reads and writes the key records of a deployment (`penstock.keys.v1`), for `penstock keys`.

A record holds a keyed hash of the credential, never the credential; taps follow the topic, so a revoked key is refused
within the time that a record takes.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from penstock.schemas import audit, keys, topics
from penstock.schemas.addresses import kafka_client
from penstock.schemas.audit import AuditEvent
from penstock.schemas.errors import ServiceUnavailable, UsageError
from penstock.schemas.keys import KeyRecord
from penstock.schemas.records import read_value, write_record
from penstock.schemas.settings import Settings

PREFIX: Final = "psk-"
READ_WITHIN_S: Final = 30.0
PARTITION: Final = TopicPartition(topics.KEYS, 0)


def fresh_credential() -> str:
    """A new key for a caller: 256 random bits. The prefix lets leak scanners know it."""
    return PREFIX + secrets.token_urlsafe(32)


def fresh_id() -> str:
    """An id for a key record; it tells nothing of the key."""
    return "k-" + secrets.token_hex(6)


async def read_keys(settings: Settings) -> dict[str, KeyRecord]:
    """All key records, by id. ServiceUnavailable where Kafka does not answer."""
    found: dict[str, KeyRecord] = {}
    try:
        async with asyncio.timeout(READ_WITHIN_S), _consumer(settings) as consumer:
            end = (await consumer.end_offsets([PARTITION]))[PARTITION]
            while await consumer.position(PARTITION) < end:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        _take(found, record.key.decode(), record.value)
    except (KafkaError, TimeoutError) as error:
        raise ServiceUnavailable(
            f"Kafka does not answer ({type(error).__name__}): is `penstock up` running?"
        ) from error
    return found


async def put_key(settings: Settings, record: KeyRecord, act: audit.Act, actor: str, now_us: int) -> None:
    """Writes `record` and the audit event `act` about it; both are acknowledged on return."""
    subject, source = f"key:{record.id}", f"/{actor.replace(':', '/')}"
    event = AuditEvent(act=act, subject=subject, actor=actor, at_us=now_us, details={"owner": record.owner})
    about: dict[str, Any] = {"source": source, "subject": subject, "time_us": now_us}
    key = write_record(record, id=f"{subject}/{now_us}", type=keys.TYPE, **about)
    written = write_record(event, id=f"audit/{subject}/{now_us}", type=audit.TYPE, **about)
    try:
        async with _producer(settings) as producer:
            await producer.send_and_wait(topics.KEYS, key.value, key=record.id.encode(), headers=key.headers())
            await producer.send_and_wait(topics.AUDIT, written.value, key=subject.encode(), headers=written.headers())
    except KafkaError as error:
        raise ServiceUnavailable(
            f"Kafka does not answer ({type(error).__name__}): is `penstock up` running?"
        ) from error


async def revoke(settings: Settings, key_id: str, actor: str, now_us: int) -> KeyRecord:
    """Marks a key as revoked; UsageError where no record has this id."""
    record = (await read_keys(settings)).get(key_id)
    if record is None:
        raise UsageError(
            f"no key has the id {key_id!r}: `penstock keys list` shows them; policy keys are revoked there"
        )
    revoked = record.model_copy(update={"state": "revoked"})
    await put_key(settings, revoked, "key_revoked", actor, now_us)
    return revoked


def _take(found: dict[str, KeyRecord], key_id: str, value: bytes | None) -> None:
    if value is None:
        found.pop(key_id, None)
    else:
        found[key_id] = read_value(KeyRecord, value)


@asynccontextmanager
async def _consumer(settings: Settings) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(**kafka_client(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await consumer.start()
        consumer.assign([PARTITION])
        await consumer.seek_to_beginning(PARTITION)
        yield consumer
    finally:
        await consumer.stop()


@asynccontextmanager
async def _producer(settings: Settings) -> AsyncIterator[Any]:
    producer = AIOKafkaProducer(**kafka_client(settings), acks="all", enable_idempotence=True)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()
