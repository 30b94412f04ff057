"""The journal of a real tap under real clients: killed, without Kafka, with a slow one, full, damaged."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from penstock.local.processes import read_pid
from penstock.schemas.addresses import kafka_client
from penstock.schemas.settings import Settings
from penstock.trail.topics import ensure_topics

from .taps import CREDENTIAL, Clients, TapProcess, Topic, completion_of, read_topic, segments
from .upstreams import upstream

pytestmark = [pytest.mark.services, pytest.mark.faults, pytest.mark.timeout(240)]
Start = Callable[[str, Settings], AbstractContextManager[subprocess.Popen[bytes]]]
STREAM = "{{endpoint tokens=60 rate=120}}"
LONG = "{{endpoint tokens=3000 rate=0}}"
DELIVERED = "penstock_tap_unacknowledged_events"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("endpoint")
    with upstream("penstock.local.endpoint", "--record", str(folder / "record.jsonl")) as url:
        yield url


async def delivered(tap: TapProcess) -> Topic:
    """What is on the topic once nothing waits any more."""
    await tap.until_metric(DELIVERED, lambda waiting: waiting == 0)
    topic = await read_topic(tap.settings)
    topic.check()
    return topic


def check_clients(clients: Clients, topic: Topic) -> None:
    """Everything that a client has got is there, and has an end."""
    assert len(clients.got) >= 5
    for exchange_id, content in clients.got.items():
        recorded = topic.response(exchange_id)
        assert recorded == content if exchange_id in clients.whole else recorded.startswith(content), exchange_id
        outcome = completion_of(topic.events[exchange_id])
        if exchange_id in clients.whole:
            assert outcome["outcome"] in ("completed", "tap_error")
    ends = [completion_of(events) for events in topic.events.values()]
    assert len(ends) == len(topic.events)


async def test_killed_while_kafka_is_away_nothing_that_a_client_got_is_lost(
    tmp_path: Path, endpoint: str, start_embedded: Start
) -> None:
    """Three lives without Kafka, two of them killed under load; then Kafka comes."""
    clients = Clients()
    with TapProcess(tmp_path, endpoint) as tap:
        for _ in range(2):
            async with clients.streaming(tap.url, 6, STREAM):
                await asyncio.sleep(1.2)
                tap.kill()
            tap.start()
        await clients.ask(tap.url, f"marker-7 {CREDENTIAL} {STREAM}")
        assert await tap.metric("penstock_tap_journal_replayed_events") > 50
        kept = b"".join(path.read_bytes() for path in segments(tap.journal))
        assert b"marker-7" in kept and CREDENTIAL.encode() not in kept
        with start_embedded("kafka", tap.settings):
            await ensure_topics(tap.settings)
            topic = await delivered(tap)
            check_clients(clients, topic)
            recovered = [one for one in map(completion_of, topic.events.values()) if one["recovered"]]
            assert {(one["outcome"], one["status"]) for one in recovered} == {("tap_error", 0)}
            assert len(recovered) >= 4, "streams ran when the tap was killed"
            assert len({epoch for epoch, _ in topic.frames}) == 3
            assert topic.gaps == []
            assert tap.stop() == 0
            assert list(tap.journal.glob("*.se*")) + list(tap.journal.glob("*.spare")) == []


async def test_killed_while_kafka_is_there_nothing_is_doubled(
    tmp_path: Path, endpoint: str, start_embedded: Start
) -> None:
    clients = Clients()
    with TapProcess(tmp_path, endpoint) as tap, start_embedded("kafka", tap.settings):
        await ensure_topics(tap.settings)
        for _ in range(3):
            async with clients.streaming(tap.url, 6, STREAM):
                await asyncio.sleep(1.0)
                tap.kill()
            tap.start()
        check_clients(clients, await delivered(tap))


async def test_a_paused_kafka_is_waited_for_and_its_journal_reaches_the_disk(
    tmp_path: Path, endpoint: str, start_embedded: Start
) -> None:
    clients = Clients()
    with TapProcess(tmp_path, endpoint) as tap, start_embedded("kafka", tap.settings):
        await ensure_topics(tap.settings)
        broker = read_pid(tap.settings.run, "kafka-broker")
        assert broker is not None
        await clients.ask(tap.url, STREAM)
        await delivered(tap)
        os.kill(broker, signal.SIGSTOP)
        try:
            async with clients.streaming(tap.url, 4, STREAM):
                await asyncio.sleep(2.5)
            await tap.until_metric("penstock_tap_journal_unsynced_bytes", lambda unsynced: unsynced == 0)
            assert await tap.metric(DELIVERED) > 100
            tap.kill()
            tap.start()
        finally:
            os.kill(broker, signal.SIGCONT)
        check_clients(clients, await delivered(tap))


async def test_a_slow_kafka_delays_and_doubles_nothing(tmp_path: Path, endpoint: str, start_embedded: Start) -> None:
    """A broker that answers a tenth of the time."""
    clients = Clients()
    with TapProcess(tmp_path, endpoint) as tap, start_embedded("kafka", tap.settings):
        await ensure_topics(tap.settings)
        await clients.ask(tap.url, STREAM)
        await delivered(tap)
        broker = read_pid(tap.settings.run, "kafka-broker")
        assert broker is not None
        async with clients.streaming(tap.url, 4, STREAM):
            for _ in range(8):
                os.kill(broker, signal.SIGSTOP)
                await asyncio.sleep(0.45)
                os.kill(broker, signal.SIGCONT)
                await asyncio.sleep(0.05)
        topic = await delivered(tap)
        check_clients(clients, topic)
        assert topic.gaps == []


class Half:
    """An upstream that sends what it is told and then says nothing more."""

    def __init__(self, *pieces: bytes, kind: str) -> None:
        self.pieces, self.kind = pieces, kind

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {self.kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        for piece in self.pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0.1)
        await reader.read()
        writer.close()


@pytest.mark.parametrize(
    ("kind", "pieces"),
    [
        ("text/event-stream", (b'data: {"a":1}\n\n', b'data: {"half":', b'"of an ev', b"ent")),
        ("application/json", (b'{"a":1,', b'"b":"ends with sk-t')),
    ],
)
async def test_the_half_of_an_event_that_a_client_got_is_the_last_chunk(
    tmp_path: Path, start_embedded: Start, kind: str, pieces: tuple[bytes, ...]
) -> None:
    clients, given = Clients(), b"".join(pieces)
    server = await asyncio.start_server(Half(*pieces, kind=kind), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with TapProcess(tmp_path, f"http://127.0.0.1:{port}") as tap:
        asking = asyncio.create_task(clients.ask(tap.url, "half"))
        async with asyncio.timeout(20):
            while b"".join(clients.got.values()) != given:  # noqa: ASYNC110 - the client has no event for it
                await asyncio.sleep(0.01)
        tap.kill()
        await asking
        server.close()
        tap.start()
        with start_embedded("kafka", tap.settings):
            await ensure_topics(tap.settings)
            topic = await delivered(tap)
            ((exchange_id, events),) = topic.events.items()
            recorded = topic.response(exchange_id)
            assert len(recorded) == len(given)
            assert recorded == given.replace(b"sk-t", b"****")
            assert completion_of(events)["outcome"] == "tap_error"
            *_, chunk, end = events
            assert (chunk.kind, chunk.redacted, end.kind) == (
                "chunk",
                "0-4" if b"sk-t" in given else "",
                "completion",
            )


async def test_a_broker_that_comes_back_elsewhere_is_found(
    tmp_path: Path, endpoint: str, start_embedded: Start
) -> None:
    clients = Clients()
    with TapProcess(tmp_path, endpoint) as tap:
        with start_embedded("kafka", tap.settings):
            await ensure_topics(tap.settings)
            first = kafka_client(tap.settings)["bootstrap_servers"]
            await clients.ask(tap.url, STREAM)
            await delivered(tap)
        async with clients.streaming(tap.url, 4, STREAM):
            await asyncio.sleep(1.0)
        with start_embedded("kafka", tap.settings):
            assert kafka_client(tap.settings)["bootstrap_servers"] != first
            check_clients(clients, await delivered(tap))


async def test_a_body_that_passes_through_in_pieces_is_kept_whole(
    tmp_path: Path, endpoint: str, start_embedded: Start
) -> None:
    clients = Clients()
    with TapProcess(tmp_path, endpoint, parse_max_bytes=1 << 20) as tap:
        await clients.ask(tap.url, f"{'word ' * 1_000_000}{CREDENTIAL} {STREAM}", stream=False)
        assert len(clients.whole) == 1
        with start_embedded("kafka", tap.settings):
            await ensure_topics(tap.settings)
            topic = await delivered(tap)
            ((exchange_id, events),) = topic.events.items()
            body = b"".join(event.body for event in events if event.kind == "prompt" and event.part)
            assert len(json.loads(body)["messages"][0]["content"]) > 5_000_000
            assert CREDENTIAL.encode() not in body
            assert exchange_id in clients.whole
            assert completion_of(events)["request_bytes"] == len(body)


async def test_memory_is_bounded_while_the_journal_grows(tmp_path: Path, endpoint: str, start_embedded: Start) -> None:
    clients = Clients()
    with TapProcess(tmp_path, endpoint, queue_max_bytes=1 << 20) as tap:
        await asyncio.gather(*(clients.ask(tap.url, f"warm {number} {LONG}") for number in range(4)))
        before = tap.rss_bytes()
        for turn in range(12):
            await asyncio.gather(*(clients.ask(tap.url, f"{turn} {number} {LONG}") for number in range(4)))
        grown, kept = tap.rss_bytes() - before, await tap.metric("penstock_tap_journal_bytes")
        print(f"journal {kept / 1e6:.0f} MB, memory grew by {grown / 1e6:.1f} MB")
        assert kept > 50_000_000
        assert grown < 16_000_000
        with start_embedded("kafka", tap.settings):
            await ensure_topics(tap.settings)
            check_clients(clients, await delivered(tap))
            print(f"while it was sent by {(tap.rss_bytes() - before) / 1e6:.1f} MB")
            assert tap.rss_bytes() - before < 96_000_000
            await tap.until_metric("penstock_tap_journal_bytes", lambda kept: kept < 40_000_000)


async def fill(tap: TapProcess, clients: Clients) -> None:
    turn = 0
    while not await tap.metric("penstock_tap_journal_pressed"):
        turn += 1
        await asyncio.gather(*(clients.ask(tap.url, f"{turn} {number} {LONG}") for number in range(4)))
        assert turn < 40, tap.log()


async def test_a_full_journal_drops_with_a_named_gap_in_observe(
    tmp_path: Path, endpoint: str, start_embedded: Start
) -> None:
    """Whatever the policy says: mode observe never refuses."""
    clients, policy = Clients(), {"failures": {"on_journal_full": "refuse"}}
    with TapProcess(tmp_path, endpoint, policy, journal={"max_bytes": 16 << 20}) as tap:
        while not await tap.metric("penstock_tap_events_dropped_total"):
            await asyncio.gather(*(clients.ask(tap.url, f"{len(clients.got)} {n} {LONG}") for n in range(4)))
        assert await tap.metric("penstock_tap_journal_full") == 1
        kept_bytes = await tap.metric("penstock_tap_journal_bytes")
        assert kept_bytes <= (16 << 20) + (4 << 20), "events fill max_bytes, the journal's own notes a segment beyond"
        assert '"event": "dropping"' in tap.log()
        await asyncio.gather(*(clients.ask(tap.url, f"served {n} {STREAM}") for n in range(4)))
        assert clients.refused == []
        with start_embedded("kafka", tap.settings):
            await ensure_topics(tap.settings)
            await tap.until_metric("penstock_tap_journal_full", lambda full: full == 0)
            await clients.ask(tap.url, STREAM)
            topic = await delivered(tap)
            dropped = await tap.metric("penstock_tap_events_dropped_total")
            assert tap.stop() == 0
            topic = await read_topic(tap.settings)
            topic.check()
            assert sum(gap.events for gap in topic.gaps) == dropped
            assert {gap.cause for gap in topic.gaps} == {"the journal was full"}


async def ready(tap: TapProcess, kafka: subprocess.Popen[bytes]) -> int:
    """In mode enforce a tap is ready once it has read orders and keys; then its broker is paused."""
    await tap.until_metric("penstock_tap_control_silent_seconds", lambda silent: silent < 1)
    clients = Clients()
    for _ in range(200):
        await clients.ask(tap.url, STREAM)
        if clients.whole:
            break
        await asyncio.sleep(0.1)
    await delivered(tap)
    broker = read_pid(tap.settings.run, "kafka-broker")
    assert broker is not None and kafka.poll() is None
    os.kill(broker, signal.SIGSTOP)
    return broker


async def test_a_full_journal_refuses_where_the_policy_says_so(
    tmp_path: Path, endpoint: str, start_embedded: Start
) -> None:
    clients, policy = Clients(), {"failures": {"on_journal_full": "refuse"}}
    options = {"mode": "enforce", "journal": {"max_bytes": 16 << 20}}
    with TapProcess(tmp_path, endpoint, policy, **options) as tap, start_embedded("kafka", tap.settings) as kafka:
        await ensure_topics(tap.settings)
        broker = await ready(tap, kafka)
        try:
            await fill(tap, clients)
            refused = len(clients.refused)
            await clients.ask(tap.url, STREAM)
            assert len(clients.refused) == refused + 1
            assert "its journal is full" in json.loads(clients.refused[-1])["error"]["message"]
            assert await tap.metric("penstock_tap_events_dropped_total") == 0
        finally:
            os.kill(broker, signal.SIGCONT)
        await tap.until_metric("penstock_tap_journal_pressed", lambda pressed: pressed == 0)
        await clients.ask(tap.url, STREAM)
        assert len(clients.refused) == refused + 1
        topic = await delivered(tap)
        assert topic.gaps == []
        check_clients(clients, topic)


async def test_a_full_journal_makes_requests_wait_where_the_policy_says_so(
    tmp_path: Path, endpoint: str, start_embedded: Start
) -> None:
    clients, policy = Clients(), {"failures": {"on_journal_full": "wait"}}
    options = {"mode": "enforce", "journal": {"max_bytes": 16 << 20, "room_wait_s": 30}}
    with TapProcess(tmp_path, endpoint, policy, **options) as tap, start_embedded("kafka", tap.settings) as kafka:
        await ensure_topics(tap.settings)
        broker = await ready(tap, kafka)
        filling = asyncio.gather(*(clients.ask(tap.url, f"{number} {LONG}") for number in range(24)))
        try:
            await tap.until_metric("penstock_tap_journal_pressed", lambda pressed: pressed == 1)
            whole = len(clients.whole)
            waiting = asyncio.create_task(clients.ask(tap.url, STREAM))
            await asyncio.sleep(1.0)
            assert not waiting.done()
            assert len(clients.whole) <= whole + 2
            assert await tap.metric("penstock_tap_events_dropped_total") == 0
        finally:
            os.kill(broker, signal.SIGCONT)
        await asyncio.wait_for(asyncio.gather(waiting, filling), 60)
        assert len(clients.whole) == len(clients.got)
        topic = await delivered(tap)
        assert clients.refused == []
        assert topic.gaps == []
        check_clients(clients, topic)


async def test_a_damaged_segment_costs_what_is_damaged_and_is_named(
    tmp_path: Path, endpoint: str, start_embedded: Start
) -> None:
    clients = Clients()
    with TapProcess(tmp_path, endpoint) as tap:
        for number in range(12):
            await clients.ask(tap.url, f"{number} {STREAM}")
        tap.kill()
        path, *_ = segments(tap.journal)
        content = bytearray(path.read_bytes())
        victim = sorted(clients.whole)[3]
        at = content.index(f'"id":"{victim}/5"'.encode())
        content[at] ^= 1
        path.write_bytes(content)
        tap.start()
        assert await tap.metric("penstock_tap_journal_quarantined_total") == 1
        assert [one.stat().st_size > 100 for one in (tap.journal / "quarantine").iterdir()] == [True]
        with start_embedded("kafka", tap.settings):
            await ensure_topics(tap.settings)
            topic = await delivered(tap)
            (gap,) = topic.gaps
            assert gap.events >= 1 and victim in gap.exchanges
            for exchange_id in clients.whole - {victim}:
                assert topic.response(exchange_id) == clients.got[exchange_id]
            assert 5 not in [event.seq for event in topic.events[victim]]
