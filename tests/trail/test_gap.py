"""A loss stops the worker, is accepted by a person, goes on record, and is then no fault of the trail."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from subprocess import Popen

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from penstock.local.secrets import make_secrets
from penstock.schemas.addresses import kafka_client, read_run_file
from penstock.schemas.errors import ServiceUnavailable, UsageError
from penstock.schemas.ids import new_exchange_id
from penstock.schemas.settings import Settings
from penstock.schemas.topics import AUDIT, TRAFFIC
from penstock.trail.gap import accept, find_lost, read_gaps
from penstock.trail.lost import Lost
from penstock.trail.migrate import migrate
from penstock.trail.topics import ensure_topics

from .deployment import Deployment, exchange_events, until

Start = Callable[[str, Settings], AbstractContextManager[Popen[bytes]]]
PLACE = TopicPartition(TRAFFIC, 0)
YES = ("--yes", "--reason", "a disk was full")
GROUPS = ("penstock-record", "penstock-meter")


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory, start_embedded: Start) -> Iterator[Deployment]:
    """Services of its own, since what Kafka loses it loses for everyone."""
    made = Deployment.make(tmp_path_factory.mktemp("gap"), "test.example/gap")
    make_secrets(made.settings)
    with ExitStack() as running:
        for name in ("kafka", "clickhouse"):
            running.enter_context(start_embedded(name, made.settings))
        asyncio.run(ensure_topics(made.settings))
        migrate(made.settings)
        running.callback(made.close)
        yield made


async def produce(deployment: Deployment, per_frame: int = 3) -> int:
    """One exchange of four frames; the offset after it."""
    events = exchange_events(new_exchange_id(), 8)
    frames = [deployment.frame(events[at : at + per_frame]) for at in range(0, len(events), per_frame)]
    async with AIOKafkaProducer(**kafka_client(deployment.settings)) as producer:
        for frame in frames:
            await producer.send_and_wait(TRAFFIC, frame.value, partition=0, headers=list(frame.headers))
    return frames[-1].offset + 1


async def delete_before(settings: Settings, offset: int) -> None:
    admin = AIOKafkaAdminClient(**kafka_client(settings))
    await admin.start()
    await admin.delete_records({PLACE: RecordsToDelete(before_offset=offset)})
    await admin.close()


async def commit(settings: Settings, group: str, offset: int) -> None:
    async with AIOKafkaConsumer(group_id=group, enable_auto_commit=False, **kafka_client(settings)) as consumer:
        consumer.assign([PLACE])
        await consumer.commit({PLACE: offset})


def runs(settings: Settings, name: str) -> bool:
    try:
        return bool(read_run_file(settings.run, name))
    except ServiceUnavailable:
        return False


def names(losses: Sequence[Lost]) -> list[str]:
    return [str(lost) for lost in losses]


@pytest.mark.services
def test_a_loss_is_accepted_once_and_then_the_trail_is_whole(lossy: Deployment) -> None:
    settings = lossy.settings
    asyncio.run(produce(lossy))
    worker = lossy.start("worker", "record")
    until(lambda: lossy.ask("SELECT max(offset) FROM penstock.events_log") == [(3,)], "four frames stored")
    worker.terminate()
    assert worker.wait(30) == 0
    asyncio.run(produce(lossy))
    asyncio.run(delete_before(settings, 7))
    asyncio.run(commit(settings, "penstock-meter", 4))

    for name in ("record", "meter"):
        refused = lossy.penstock("worker", name)
        assert (refused.returncode, b"penstock gap accept" in refused.stderr) == (3, True)
        shown = lossy.penstock("gap", "accept", name)
        assert (shown.returncode, f"{TRAFFIC}/0: 3 records, offsets 4–6" in shown.stdout.decode()) == (1, True)
    assert lossy.penstock("gap", "accept", "record", "--yes").returncode == 2
    assert names(asyncio.run(find_lost(settings, GROUPS[0]))) == [f"{TRAFFIC}/0: 3 records, offsets 4–6"]

    for name in ("record", "meter"):
        until(lambda name=name: lossy.penstock("gap", "accept", name, *YES).returncode == 0, "the group is empty")
        assert b"nothing to accept" in lossy.penstock("gap", "accept", name).stdout
    lossy.start("worker", "record")
    lossy.start("worker", "meter")
    until(lambda: len(read_gaps(settings)) == 3, "what both groups lost, and what record itself missed")
    until(lambda: runs(settings, "meter"), "the meter runs again")
    assert {gap.act for gap in read_gaps(settings)} == {"gap", "gap_accepted"}
    asyncio.run(lossy.seal())
    report = asyncio.run(lossy.verify())
    assert (report.faults, report.partitions[f"{TRAFFIC}/0"]["last_offset"]) == ([], 7)
    listed = json.loads(lossy.penstock("gap", "list", "--json").stdout)
    assert [gap["details"]["group"] for gap in listed if gap["act"] == "gap_accepted"] == [*GROUPS]
    assert "offsets 4–6" in lossy.penstock("gap", "list").stdout.decode()


@pytest.mark.services
async def test_nothing_is_accepted_behind_the_back_of_a_worker_that_runs(lossy: Deployment) -> None:
    settings, group = lossy.settings, "penstock-test"
    await commit(settings, group, 0)
    lost = await find_lost(settings, group)
    assert names(lost) == [f"{TRAFFIC}/0: 7 records, offsets 0–6"]
    async with AIOKafkaConsumer(TRAFFIC, group_id=group, enable_auto_commit=False, **kafka_client(settings)) as member:
        assert member.assignment()
        with pytest.raises(UsageError, match=r"penstock-test has members \(aiokafka-.*stop its workers first"):
            await accept(settings, lost, "cli:test", "because", 1)
    assert await find_lost(settings, group) == lost
    await accept(settings, lost, "cli:test", "because", 1)
    assert await find_lost(settings, group) == []
    assert await find_lost(settings, "penstock-never") == []


@pytest.mark.services
async def test_the_act_is_acknowledged_before_the_offset_moves(lossy: Deployment) -> None:
    settings = lossy.settings
    await commit(settings, "penstock-order", 0)
    lost = await find_lost(settings, "penstock-order")
    await accept(settings, lost, "cli:test", "because", 1)
    options = {"auto_offset_reset": "earliest", **kafka_client(settings)}
    async with AIOKafkaConsumer(AUDIT, **options) as consumer:
        while True:
            found = await asyncio.wait_for(consumer.getone(), 30)
            if b"penstock-order" in found.value:
                break
    assert found.key == f"partition:{TRAFFIC}/0".encode()
    assert dict(found.headers)["ce_id"] == f"gap_accepted/penstock-order/{TRAFFIC}/0/0-6".encode()


async def test_a_broker_that_is_away_is_said(tmp_path: Path) -> None:
    settings = Settings.model_validate({"kafka": {"bootstrap_servers": "127.0.0.1:1"}, "base": tmp_path})
    with pytest.raises(ServiceUnavailable, match="Kafka does not answer"):
        await find_lost(settings, GROUPS[0])
