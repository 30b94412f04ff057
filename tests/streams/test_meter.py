"""The meter against a real broker: streams are cut in time, and nothing is counted twice, whatever is killed."""

import asyncio
import os
import random
import subprocess
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from penstock.schemas import topics
from penstock.schemas.attribution import Attribution
from penstock.schemas.control import Order, check_order
from penstock.schemas.policy import load_policy
from penstock.schemas.records import read_record, read_value
from penstock.schemas.secrets import read_secret
from penstock.schemas.usage import TYPE_BUDGET, BudgetSnapshot
from penstock.streams.intake import read_traffic
from penstock.streams.snapshot import newest
from penstock.streams.tally import Tally

from .metering import PARTITIONS, Metering, Start, all_of, send_frame
from .scripts import T0_US, Talk, rules, tap_started

pytestmark = pytest.mark.services
LIMITS: list[dict[str, Any]] = [
    {"id": "team", "scope": "team:live-*", "unit": "output_tokens", "amount": 40, "window": "day"},
    {"id": "own", "scope": "exchange:*", "unit": "output_tokens", "amount": 400},
    {"id": "sum", "scope": "org:*", "unit": "total_tokens", "amount": 10_000_000},
    {"id": "soft", "scope": "key:*", "unit": "requests", "amount": 30, "kind": "soft"},
    {"id": "cost", "scope": "team:many", "unit": "cost_usd", "amount": 1000, "window": "calendar_month"},
]
TICK_S = 0.02


@pytest.fixture(scope="module")
def metering(tmp_path_factory: pytest.TempPathFactory, start_embedded: Start) -> Iterator[Metering]:
    with Metering(tmp_path_factory.mktemp("meter"), start_embedded, LIMITS) as found:
        yield found


@pytest.fixture(scope="module")
def meter(metering: Metering) -> Iterator[subprocess.Popen[bytes]]:
    process = metering.start()
    metering.ready(process)
    yield process
    process.terminate()
    assert process.wait(30) == 0, metering.log()


@pytest.fixture
async def producer(metering: Metering) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(enable_idempotence=True, linger_ms=0, **metering.client) as found:
        yield found


@pytest.fixture
async def control(metering: Metering) -> AsyncIterator[AIOKafkaConsumer]:
    async with AIOKafkaConsumer(topics.CONTROL, auto_offset_reset="latest", **metering.client) as found:
        await found.seek_to_end()
        yield found


async def next_orders(metering: Metering, consumer: AIOKafkaConsumer, count: int) -> list[Order]:
    """The next `count` orders, their MACs checked."""
    secret = read_secret("control_mac", metering.settings.secrets.control_mac, metering.settings.state)
    found: list[Order] = []
    while len(found) < count:
        message = await asyncio.wait_for(consumer.getone(), 20)
        if message.value is not None:
            order = read_value(Order, message.value)
            check_order(order, secret.all)
            found.append(order)
    return found


async def stream_until(
    task: "asyncio.Task[Any]", producer: AIOKafkaProducer, talk: Talk, words: int = 1
) -> list[float]:
    """Streams a delta a tick until `task` is done; when each was sent."""
    sent_at: list[float] = []
    while not task.done() and len(sent_at) < 600:
        sent_at.append(time.monotonic())
        await (await send_frame(producer, 0, len(sent_at), [talk.words(words)]))
        await asyncio.wait({task}, timeout=TICK_S)
    return sent_at


async def test_a_stream_that_passes_its_own_limit_is_ordered_to_end_within_a_few_chunks(
    metering: Metering, meter: subprocess.Popen[bytes], producer: AIOKafkaProducer, control: AIOKafkaConsumer
) -> None:
    talk = Talk("own")
    await send_frame(producer, 0, 0, talk.prompt())
    waiting = asyncio.create_task(next_orders(metering, control, 1))
    sent_at = await stream_until(waiting, producer, talk, words=20)
    (order,) = await waiting
    crossing = 400 // 20
    print(f"order {(time.monotonic() - sent_at[crossing]) * 1000:.1f} ms after the crossing chunk was sent")
    assert (order.scope, order.allowed_output_tokens) == (f"exchange:{talk.id}", 400)
    assert len(sent_at) - crossing <= 10


async def test_a_team_that_passes_its_limit_has_its_streams_ended_and_is_blocked(
    metering: Metering, meter: subprocess.Popen[bytes], producer: AIOKafkaProducer, control: AIOKafkaConsumer
) -> None:
    team = f"live-{random.randrange(10**9)}"
    idle, busy = Talk(team), Talk(team)
    await (await send_frame(producer, 1, 0, [*idle.prompt(), idle.words(9)]))
    await (await send_frame(producer, 0, 0, busy.prompt()))
    waiting = asyncio.create_task(next_orders(metering, control, 3))
    sent_at = await stream_until(waiting, producer, busy)
    orders = {order.scope: order for order in await waiting}
    assert orders.keys() == {f"exchange:{idle.id}", f"exchange:{busy.id}", f"team:{team}"}
    assert orders[f"exchange:{idle.id}"].allowed_output_tokens == 9
    assert orders[f"exchange:{busy.id}"].allowed_output_tokens == 31
    assert orders[f"team:{team}"].action == "block"
    assert len(sent_at) - 31 <= 12
    print(f"order {(time.monotonic() - sent_at[31]) * 1000:.1f} ms after the crossing chunk was sent")
    late = Talk(team)
    waiting = asyncio.create_task(next_orders(metering, control, 1))
    await send_frame(producer, 2, 0, late.prompt())
    (order,) = await waiting
    assert (order.scope, order.allowed_output_tokens) == (f"exchange:{late.id}", 0)


def traffic(pick: random.Random, exchanges: int) -> list[tuple[int, int, list[bytes]]]:
    """(partition, epoch, events) of frames: exchanges interleaved, some left open by a tap that starts again."""
    sent: list[tuple[int, int, list[bytes]]] = []
    waiting = [Talk("many", key=f"k{pick.randrange(3)}") for _ in range(exchanges)]
    home = {talk.id: pick.randrange(PARTITIONS) for talk in waiting}
    running: list[Talk] = []
    while waiting or running:
        if waiting and (len(running) < 6 or pick.random() < 0.1):
            talk = waiting.pop()
            sent.append((home[talk.id], 1, talk.prompt(" hello" * pick.randrange(1, 30))))
            running.append(talk)
            continue
        talk = pick.choice(running)
        end = pick.random() < 0.04
        events = [talk.words(pick.randrange(1, 30)) for _ in range(pick.randrange(1, 4))]
        if end:
            running.remove(talk)
            if pick.random() < 0.8:
                usage = {"prompt_tokens": 7, "completion_tokens": pick.randrange(900), "total_tokens": 0}
                outcome = pick.choice(["completed", "client_disconnected"])
                events.append(talk.end(outcome, usage=[usage] if outcome == "completed" else []))
        sent.append((home[talk.id], 1, events))
    return [*sent, *((partition, 2, [tap_started(2)]) for partition in range(PARTITIONS))]


def uninterrupted(metering: Metering, records: Sequence[Any]) -> dict[str, Attribution]:
    """What a meter that is never interrupted makes of the traffic topic."""
    told = rules(*load_policy(metering.settings.policy_path).limits, version="t1")
    tallies = {number: Tally(number, told) for number in range(PARTITIONS)}
    found = {}
    for record in records:
        frame = read_traffic(record.partition, record.offset, record.timestamp, record.headers, record.value)
        for emission in tallies[record.partition].apply(frame, T0_US):
            if isinstance(emission.model, Attribution):
                found[emission.model.exchange_id] = emission.model
    return found


async def settled(metering: Metering, names: set[str]) -> dict[str, list[Attribution]]:
    """All copies of the attributions of `names`, once each has one."""
    found: dict[str, list[Attribution]] = defaultdict(list)
    options = {"auto_offset_reset": "earliest", **metering.client}
    async with AIOKafkaConsumer(topics.ATTRIBUTION, **options) as consumer:
        end = time.monotonic() + 60
        while names - found.keys():
            assert time.monotonic() < end, f"{len(names - found.keys())} have no attribution: {metering.log()}"
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    one = read_value(Attribution, record.value)
                    found[one.exchange_id].append(one)
    return found


async def settled_budgets(metering: Metering, charged: list[Attribution], seed: int) -> None:
    """Waits until the newest snapshots of all limits hold what `charged` says; what was charged twice would stay."""
    end = time.monotonic() + 60
    while True:
        kept = newest(
            read_value(BudgetSnapshot, record.value)
            for record in await all_of(metering.client, topics.BUDGETS, PARTITIONS)
            if record.value is not None and read_record(record.value, record.headers).type == TYPE_BUDGET
        )
        try:
            return check_budgets(kept, charged, seed)
        except (AssertionError, KeyError):
            if time.monotonic() > end:
                raise


@pytest.mark.faults
async def test_a_meter_that_is_killed_again_and_again_settles_what_an_uninterrupted_one_does(
    metering: Metering, meter: subprocess.Popen[bytes], producer: AIOKafkaProducer
) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    pick = random.Random(seed)
    meter.terminate()
    assert meter.wait(30) == 0, metering.log()
    sent = traffic(pick, 60)
    kill_at = sorted(pick.sample(range(len(sent) // 8, len(sent)), 4))
    process = metering.start()
    metering.ready(process)
    for number, (partition, epoch, events) in enumerate(sent):
        await (await send_frame(producer, partition, number, events, epoch))
        if number % 20 == 0:
            await asyncio.wait({asyncio.create_task(asyncio.sleep(pick.random() / 10))})
        if number in kill_at:
            metering.kill(process)
            process = metering.start()
            if pick.random() < 0.7:
                await asyncio.to_thread(metering.ready, process)
    await asyncio.to_thread(metering.ready, process)
    expected = uninterrupted(metering, await all_of(metering.client, topics.TRAFFIC, PARTITIONS))
    found = await settled(metering, set(expected))
    assert found.keys() == expected.keys()
    for name, copies in found.items():
        assert all(copy == expected[name] for copy in copies), (seed, name)
    await settled_budgets(metering, list(expected.values()), seed)
    process.terminate()
    assert process.wait(30) == 0, metering.log()


def check_budgets(kept: dict[tuple[str, str, str], BudgetSnapshot], charged: list[Attribution], seed: int) -> None:
    """Every limit holds exactly what was attributed to its scope, and nothing runs any more."""
    by_limit = {(limit_id, scope): snapshot for (limit_id, scope, _), snapshot in kept.items()}
    many = [one for one in charged if one.identity.team == "many"]
    cost = by_limit["cost", "team:many"]
    assert cost.running == {}, seed
    assert cost.settled.requests == len(many), seed
    assert cost.settled.cost_usd == sum((one.cost_usd or Decimal(0) for one in many), Decimal(0)), seed
    assert cost.settled.output_tokens == sum(one.output.tokens for one in many), seed
    for key in {one.identity.key_id for one in many} - {"k1"}:
        mine = [one for one in many if one.identity.key_id == key]
        assert by_limit["soft", f"key:{key}"].settled.requests == len(mine), seed
