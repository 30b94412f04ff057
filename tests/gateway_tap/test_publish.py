"""One suite over all publishers, and what only a broker can show."""

import asyncio
import functools
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from penstock.gateway_tap.clock import Clock
from penstock.gateway_tap.journal_keeper import JournalKeeper
from penstock.gateway_tap.memory import MemoryPublisher
from penstock.gateway_tap.publish import KafkaPublisher
from penstock.schemas import topics
from penstock.schemas.addresses import kafka_client
from penstock.schemas.audit import AuditEvent, Gap
from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.frames import (
    CHUNK,
    HEADER_EPOCH,
    HEADER_FRAME,
    HEADER_TAP,
    Event,
    EventWriter,
    read_event,
    split_frame,
)
from penstock.schemas.records import read_record, read_value
from penstock.schemas.settings import Settings
from penstock.schemas.tap_settings import JournalSettings
from penstock.trail.topics import ensure_topics

STAMP, SALT = b"2026-11-24T05:45:00.000001Z", b"AAAAAAAAAAAAAAAAAAAAAA=="


def events_of(exchange_id: str, count: int, size: int = 10, first: int = 0) -> list[bytes]:
    writer = EventWriter(exchange_id, "/tap/t", "key:k")
    return [writer.write(CHUNK, seq, STAMP, SALT, b"x" * size) for seq in range(first, first + count)]


def act(reason: str) -> AuditEvent:
    return AuditEvent(act="order_rejected", subject="tap:t", actor="tap:t", reason=reason, at_us=1)


def read_of(record: Any) -> list[Event]:
    return [read_event(raw) for raw in split_frame(record.value)]


class OverMemory:
    def __init__(self) -> None:
        self.publisher = MemoryPublisher()

    async def traffic(self) -> list[Event]:
        return list(self.publisher.events)

    async def audits(self) -> list[AuditEvent]:
        return list(self.publisher.audits)


class OverKafka:
    """`tap` is a name of its own, so that a shared topic can be told apart."""

    def __init__(self, settings: Settings, queue_max_bytes: int = 1 << 28, journal: Path | None = None) -> None:
        self.tap = f"t-{uuid.uuid4().hex[:8]}"
        self.client = functools.partial(kafka_client, settings)
        keeper, partitions = None, settings.kafka.partitions
        if journal is not None:
            keeper = JournalKeeper(journal, self.tap, 7, partitions, JournalSettings(), Clock())
            keeper.open()
        self.publisher = KafkaPublisher(self.tap, 7, partitions, queue_max_bytes, self.client, Clock(), keeper)

    async def records(self, topic: str) -> list[Any]:
        consumer = AIOKafkaConsumer(**self.client(), auto_offset_reset="earliest", enable_auto_commit=False)
        await consumer.start()
        try:
            found = []
            count = self.publisher.partitions
            partitions = [TopicPartition(topic, number) for number in range(count)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            for partition, end in ends.items():
                while await consumer.position(partition) < end:
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        found += records
            return found
        finally:
            await consumer.stop()

    async def frames(self) -> list[Any]:
        found = await self.records(topics.TRAFFIC)
        return [record for record in found if dict(record.headers)[HEADER_TAP] == self.tap.encode()]

    async def traffic(self) -> list[Event]:
        return [
            event
            for record in await self.frames()
            for event in map(read_event, split_frame(record.value))
            if event.exchangeid
        ]

    async def audits(self) -> list[AuditEvent]:
        records = [read_record(record.value, record.headers) for record in await self.records(topics.AUDIT)]
        return [read_value(AuditEvent, one.value) for one in records if one.source == f"/tap/{self.tap}"]


@pytest.fixture(
    params=[
        "memory",
        pytest.param("kafka", marks=pytest.mark.services),
        pytest.param("journal", marks=pytest.mark.services),
        pytest.param("journal alone", marks=pytest.mark.services),
    ]
)
async def over(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """`journal alone`: nothing waits in memory, all is read back."""
    if request.param == "memory":
        yield OverMemory()
        return
    request.getfixturevalue("kafka_bootstrap")
    settings = request.getfixturevalue("service_settings")
    await ensure_topics(settings)
    journal = tmp_path / "journal" if request.param != "kafka" else None
    made = OverKafka(settings, 0 if request.param == "journal alone" else 1 << 28, journal)
    made.publisher.start()
    yield made
    await made.publisher.close(5)


async def test_events_come_out_in_order_per_partition(over: Any) -> None:
    publisher = over.publisher
    for round_ in range(20):
        for number in range(publisher.partitions):
            assert publisher.publish(number, f"e{number}", events_of(f"e{number}", 5, first=5 * round_))
        if round_ % 7 == 0:
            await asyncio.sleep(0.03)
    await asyncio.gather(*(publisher.acknowledged(number) for number in range(publisher.partitions)))
    found = await over.traffic()
    for number in range(publisher.partitions):
        assert [event.seq for event in found if event.exchangeid == f"e{number}"] == list(range(100))


async def test_nothing_published_is_acknowledged_at_once(over: Any) -> None:
    publisher = over.publisher
    await asyncio.wait_for(publisher.acknowledged(0), 5)
    assert publisher.has_room


async def test_a_cancelled_wait_takes_nothing_back(over: Any) -> None:
    publisher = over.publisher
    publisher.publish(0, "e", events_of("e", 1))
    publisher.acknowledged(0).cancel()
    publisher.publish(0, "e", events_of("e", 1, first=1))
    await asyncio.wait_for(publisher.acknowledged(0), 5)
    assert [event.seq for event in await over.traffic()] == [0, 1]


async def test_large_events_have_room(over: Any) -> None:
    publisher = over.publisher
    publisher.publish(1, "e", events_of("e", 6, size=700_000))
    await asyncio.wait_for(publisher.acknowledged(1), 10)
    assert [len(event.body) for event in await over.traffic()] == [700_000] * 6


async def test_audit_events_are_published(over: Any) -> None:
    publisher = over.publisher
    publisher.audit(act("one"))
    publisher.audit(act("two"))
    if isinstance(over, OverKafka):
        assert await publisher.close(5) == 0
    assert [event.reason for event in await over.audits()] == ["one", "two"]


@pytest.mark.services
async def test_frames_are_numbered_and_the_first_announces_the_epoch(
    kafka_bootstrap: str, service_settings: Settings
) -> None:
    await ensure_topics(service_settings)
    over = OverKafka(service_settings)
    over.publisher.start()
    for number in range(3):
        over.publisher.publish(2, "e", events_of("e", 1, size=150_000, first=number))
    await over.publisher.acknowledged(2)
    assert await over.publisher.close(5) == 0
    frames = [record for record in await over.frames() if record.partition == 2]
    assert [int(dict(record.headers)[HEADER_FRAME]) for record in frames] == list(range(len(frames)))
    assert {dict(record.headers)[HEADER_EPOCH] for record in frames} == {b"7"}
    first = read_of(frames[0])[0]
    assert (first.kind, first.id, first.exchangeid, first.seq) == ("tap", f"tap/{over.tap}/7/2", "", 0)
    announced = [record.partition for record in await over.frames() if read_of(record)[0].kind == "tap"]
    assert sorted(announced) == list(range(over.publisher.partitions))


@pytest.mark.services
async def test_what_found_no_room_is_a_named_gap(kafka_bootstrap: str, service_settings: Settings) -> None:
    await ensure_topics(service_settings)
    over = OverKafka(service_settings, queue_max_bytes=20_000)
    publisher, away = over.publisher, True
    settled = functools.partial(kafka_client, service_settings)

    def client() -> dict[str, Any]:
        if away:
            raise ServiceUnavailable("away")
        return settled()

    publisher._link._client = client
    publisher.start()
    taken = [publisher.publish(0, f"e{n}", events_of(f"e{n}", 1, size=1000)) for n in range(40)]
    assert taken[0]
    assert not taken[-1]
    assert not publisher.has_room
    assert publisher.bytes <= 20_000
    away = False
    async with asyncio.timeout(10):
        await publisher.acknowledged(0)
    assert publisher.has_room
    assert publisher.publish(0, "later", events_of("later", 1))
    assert await publisher.close(5) == 0
    found = await over.traffic()
    assert [event.exchangeid for event in found] == [f"e{n}" for n in range(40) if taken[n]] + ["later"]
    (event,) = [one for one in await over.audits() if one.act == "gap"]
    gap = Gap.model_validate(event.details)
    dropped = [f"e{n}" for n in range(40) if not taken[n]]
    assert (gap.events, gap.exchanges, gap.partition) == (len(dropped), dropped, 0)
    numbers = [int(dict(record.headers)[HEADER_FRAME]) for record in await over.frames() if record.partition == 0]
    assert sorted([*numbers, gap.first_frame]) == list(range(len(numbers) + 1))


async def test_without_kafka_closing_is_bounded() -> None:
    def client() -> dict[str, Any]:
        raise ServiceUnavailable("away")

    publisher = KafkaPublisher("t", 7, 2, 1 << 20, client, Clock())
    publisher.start()
    publisher.publish(0, "e", events_of("e", 3))
    assert await publisher.close(0.1) == 5
