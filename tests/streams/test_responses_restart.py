"""Background responses on a real broker: what a meter charged is known to the one that comes after it."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from penstock.schemas import topics
from penstock.schemas.attribution import Attribution
from penstock.schemas.records import read_value

from .metering import Metering, Start, send_frame
from .scripts import T0_US
from .test_responses import answer, fetched, posted, usage

pytestmark = pytest.mark.services
PARTITION = 2


async def charged(metering: Metering, count: int) -> list[tuple[int, int]]:
    """The first `count` attributions, in order."""
    found: list[Attribution] = []
    async with AIOKafkaConsumer(topics.ATTRIBUTION, auto_offset_reset="earliest", **metering.client) as consumer:
        end = time.monotonic() + 60
        while len({one.exchange_id for one in found}) < count:
            assert time.monotonic() < end, metering.log()
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [read_value(Attribution, record.value) for record in records]
    last = {one.exchange_id: (one.input.tokens, one.output.tokens) for one in found}
    return list(last.values())


async def send(producer: AIOKafkaProducer, number: int, events: Sequence[bytes]) -> None:
    await (await send_frame(producer, PARTITION, number, events, T0_US))


@pytest.fixture
def metering(tmp_path: Path, start_embedded: Start) -> Iterator[Metering]:
    with Metering(tmp_path, start_embedded, []) as found:
        yield found


async def test_a_repeat_after_a_restart_is_a_repeat(metering: Metering) -> None:
    process = metering.start()
    await asyncio.to_thread(metering.ready, process)
    async with AIOKafkaProducer(enable_idempotence=True, linger_ms=0, **metering.client) as producer:
        for number, events in enumerate((posted(), fetched(answer("completed", usage())))):
            await send(producer, number, events)
        assert sorted(await charged(metering, 2)) == [(0, 0), (30, 200)]
        process.terminate()
        assert process.wait(30) == 0, metering.log()
        process = metering.start()
        await asyncio.to_thread(metering.ready, process)
        await send(producer, 2, fetched(answer("completed", usage())))
        assert sorted(await charged(metering, 3)) == [(0, 0), (0, 0), (30, 200)]
    process.terminate()
    assert process.wait(30) == 0, metering.log()
