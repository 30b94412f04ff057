"""A publisher with a journal and without a Kafka: what fills, what is told, and what it does to memory."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from penstock.gateway_tap.clock import Clock
from penstock.gateway_tap.journal_gauges import journal_families
from penstock.gateway_tap.journal_keeper import JournalKeeper
from penstock.gateway_tap.publish import KafkaPublisher
from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.tap_settings import JournalSettings

from .journalling import event

QUEUE_BYTES = 1 << 20


def away() -> dict[str, Any]:
    raise ServiceUnavailable("kafka does not run here")


@pytest.fixture
async def publisher(tmp_path: Path) -> AsyncIterator[KafkaPublisher]:
    settings = JournalSettings(max_bytes=16 << 20, sync_after_ms=50, sync_every_ms=50)
    keeper = JournalKeeper(tmp_path / "journal", "t", 7, 4, settings, Clock())
    keeper.open()
    made = KafkaPublisher("t", 7, 4, QUEUE_BYTES, away, Clock(), keeper)
    made.start()
    yield made
    await made.close(0)


def fill(publisher: KafkaPublisher, until: str) -> int:
    """Publishes until room is refused (`dropped`) or kept for exchanges that run (`pressed`); how many events went."""
    count = 0
    while publisher.has_room if until == "pressed" else not publisher.dropped:
        publisher.publish(count % 4, f"e{count}", [event(f"e{count}", 0, "completion", b"x" * 60_000)])
        count += 1
    return count


async def test_pressure_is_told_at_once_and_only_once(publisher: KafkaPublisher) -> None:
    told: list[bool] = []
    publisher.on_pressure = told.append
    fill(publisher, "pressed")
    assert told == [True]
    assert publisher.dropped == 0
    more = fill(publisher, "dropped")
    assert more > 50  # what is kept for exchanges that run
    assert told == [True]


async def test_who_waits_for_room_is_told_when_there_is_some(publisher: KafkaPublisher) -> None:
    told: list[bool] = []
    publisher.on_pressure = told.append
    await asyncio.wait_for(publisher.room(), 5)
    fill(publisher, "pressed")
    waiting = publisher.room()
    await asyncio.sleep(0.2)
    assert not waiting.done()
    journal = publisher.journal
    assert journal is not None
    for partition, sender in enumerate(publisher._senders):
        sender.lane.close_frame()
        last = sender.lane.frames[-1]
        journal.acknowledge(partition, 7, last.number, last.accepted)
    await asyncio.wait_for(waiting, 5)
    assert told == [True, False]


async def test_memory_holds_no_more_than_the_queue(publisher: KafkaPublisher) -> None:
    fill(publisher, "dropped")
    frames = [frame for sender in publisher._senders for frame in sender.lane.frames]
    held = sum(len(frame.value) for frame in frames if frame.value is not None)
    assert 0 < held <= QUEUE_BYTES + 4 * 200
    assert publisher.bytes > 12 * QUEUE_BYTES


async def test_a_silent_kafka_makes_the_journal_reach_the_disk(publisher: KafkaPublisher) -> None:
    publisher.publish(0, "e", [event("e", 0, "prompt")])
    keeper = publisher.keeper
    assert keeper is not None and keeper.unsynced > 0
    async with asyncio.timeout(10):
        while keeper.unsynced:  # noqa: ASYNC110 - the keeper has no event for it
            await asyncio.sleep(0.01)


async def test_nothing_to_publish_is_published(publisher: KafkaPublisher) -> None:
    before = publisher.outstanding
    assert publisher.publish(0, "e", [])
    assert publisher.outstanding == before


async def test_gauges(publisher: KafkaPublisher) -> None:
    assert journal_families(None) == []
    fill(publisher, "dropped")
    values = {name: next(iter(samples))[1] for name, _, _, samples in journal_families(publisher.keeper)}
    assert 12 << 20 < values.pop("penstock_tap_journal_bytes") <= 16 << 20
    assert values.pop("penstock_tap_journal_unsynced_bytes") > 0
    assert values == {
        "penstock_tap_journal_max_bytes": 16 << 20,
        "penstock_tap_journal_full": 1,
        "penstock_tap_journal_pressed": 1,
        "penstock_tap_journal_quarantined_total": 0,
        "penstock_tap_journal_forgotten_total": 0,
        "penstock_tap_journal_replayed_events": 0,
    }
