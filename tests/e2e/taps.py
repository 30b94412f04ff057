"""A tap as its own process, with or without a Kafka, and what of its events is on the topic."""

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiokafka import AIOKafkaConsumer, TopicPartition

from penstock.local.secrets import make_secrets
from penstock.schemas import topics
from penstock.schemas.addresses import kafka_client, read_run_file
from penstock.schemas.audit import AuditEvent, Gap
from penstock.schemas.frames import HEADER_EPOCH, HEADER_FRAME, HEADER_REPLAYED, Event, read_event, split_frame
from penstock.schemas.records import read_record, read_value
from penstock.schemas.settings import Settings, load_settings
from penstock.streams.decode import decode
from penstock.streams.rows import Mark, events_columns
from penstock.streams.seen import copies_among
from penstock.streams.source import Source
from penstock.trail.acts import Acts
from penstock.trail.check_frames import FrameCheck
from penstock.trail.leaf import Row
from penstock.trail.report import Fault, Report

ROW = (
    *("topic", "partition", "offset", "frame_index", "event_id", "exchange_id", "kind", "seq", "origin"),
    *("occurred_at", "appended_at", "commitment", "previous", "duplicate_of", "tap_id", "tap_epoch", "frame_number"),
)
CREDENTIAL = "sk-test-0123456789abcdef"
HEADERS = {"authorization": f"Bearer {CREDENTIAL}", "content-type": "application/json"}


class TapProcess:
    """`penstock tap`, started and killed as often as a test likes. Its Kafka is the one of its state folder."""

    def __init__(self, folder: Path, upstream: str, policy: dict[str, Any] | None = None, **tap: Any) -> None:
        self.folder, self.config = folder, folder / "penstock.yaml"
        content = {
            "tap": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "audit": "journal", "open_metrics": True, **tap},
            "upstreams": [{"name": "openai", "url": upstream}],
            "kafka": {"embedded": {"listen": "127.0.0.1:0"}},
            "state_dir": "state",
            **({"policy": "policy.yaml"} if policy else {}),
        }
        if policy:
            owner = {"owner": {"name": "Tests", "contact": "tests@example.org"}, "version": "test.1"}
            (folder / "policy.yaml").write_text(yaml.safe_dump({**owner, **policy}))
        self.config.write_text(yaml.safe_dump(content))
        self.settings: Settings = load_settings(self.config)
        make_secrets(self.settings)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it listens. AssertionError with its log where it ends instead."""
        (self.settings.run / "tap.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "penstock.cli.main", "tap", "--config", str(self.config)]
        with (self.folder / "tap.log").open("ab") as log:
            self.process = process = subprocess.Popen(command, stderr=log, stdout=log, stdin=subprocess.DEVNULL)
        self.until(lambda: (self.settings.run / "tap.json").exists() or process.poll() is not None)
        assert process.poll() is None, self.log()

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    @property
    def url(self) -> str:
        return str(read_run_file(self.settings.run, "tap")["url"])

    @property
    def journal(self) -> Path:
        return self.settings.state / "journal" / self.settings.tap.id

    def log(self) -> str:
        return (self.folder / "tap.log").read_text()[-5000:]

    def rss_bytes(self) -> int:
        """Memory that is the process's own: anonymous pages, not those of mapped files."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("RssAnon:")]
        return int(line.split()[1]) * 1024

    async def metric(self, name: str) -> float:
        address = read_run_file(self.settings.run, "tap")["admin"]
        async with aiohttp.ClientSession() as session, session.get(f"{address}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split(" ")[0].split("{")[0] == name)

    async def until_metric(self, name: str, holds: Callable[[float], bool], within_s: float = 60) -> None:
        end = time.monotonic() + within_s
        while not holds(await self.metric(name)):
            assert time.monotonic() < end, f"{name} is {await self.metric(name)}\n{self.log()}"
            await asyncio.sleep(0.05)

    def until(self, done: Callable[[], Any], within_s: float = 60) -> None:
        end = time.monotonic() + within_s
        while not done():
            assert time.monotonic() < end, self.log()
            time.sleep(0.02)

    def __enter__(self) -> "TapProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGCONT)
            self.kill()


@dataclass
class Clients:
    """What clients got, by exchange: whole answers and what had come of broken ones."""

    got: dict[str, bytes] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    async def ask(self, url: str, words: str, *, stream: bool = True) -> None:
        """One request; breaks are noted, not raised."""
        body = {"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": words}]}
        exchange, content = "", b""
        try:
            async with (
                aiohttp.ClientSession(headers=HEADERS) as session,
                session.post(f"{url}/v1/chat/completions", data=io.BytesIO(json.dumps(body).encode())) as response,
            ):
                exchange = response.headers.get("x-penstock-exchange-id", "")
                if response.status != 200:
                    self.refused.append(await response.text())
                    return
                async for piece in response.content.iter_any():
                    content += piece
                    self.got[exchange] = content
                self.whole.add(exchange)
        except (aiohttp.ClientError, OSError):
            if exchange:
                self.got[exchange] = content

    @contextlib.asynccontextmanager
    async def streaming(self, url: str, count: int, words: str) -> AsyncIterator[None]:
        """`count` clients, one stream after another, until the block ends; then they are given up."""
        turns = iter(range(1 << 30))

        async def one(number: int) -> None:
            while True:
                await self.ask(url, f"{number}-{next(turns)}-{len(self.got)} {words}")
                await asyncio.sleep(0.01)

        tasks = [asyncio.create_task(one(number)) for number in range(count)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Topic:
    """What the traffic topic holds: events of each exchange, first copies alone, in order; and frames."""

    events: dict[str, list[Event]] = field(default_factory=dict)
    frames: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    copies: int = 0
    gaps: list[Gap] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def response(self, exchange_id: str) -> bytes:
        return b"".join(
            event.body
            for event in self.events.get(exchange_id, [])
            if event.kind == "chunk" and event.origin == "upstream"
        )

    def check(self) -> None:
        """Order and density: of events per exchange, of frames per epoch and partition but for named gaps. And what
        `penstock verify` says of frames and events, once record has found the second copies."""
        assert self.faults == []
        for exchange_id, events in self.events.items():
            seqs = [event.seq for event in events]
            torn = any(exchange_id in gap.exchanges for gap in self.gaps)
            assert seqs == sorted(set(seqs)), exchange_id
            assert torn or seqs == list(range(len(seqs))), (exchange_id, seqs)
            assert [event.kind for event in events].count("completion") <= 1
        for (epoch, partition), numbers in self.frames.items():
            named = {
                number
                for gap in self.gaps
                if (gap.epoch, gap.partition) == (epoch, partition) and gap.first_frame is not None
                for number in range(gap.first_frame, (gap.last_frame or 0) + 1)
            }
            assert numbers == sorted(numbers)
            assert set(range(numbers[-1] + 1)) <= {*numbers, *named}, (epoch, partition, numbers)


async def read_topic(settings: Settings) -> Topic:
    """Everything that is on the traffic topic, and the gaps on the audit topic."""
    topic, values = Topic(), dict[tuple[int, int, int], bytes]()
    traffic, audit = await _records(settings, topics.TRAFFIC), await _records(settings, topics.AUDIT)
    topic.faults = _faults(traffic, audit)
    for record in traffic:
        headers = dict(record.headers)
        epoch, number = int(headers[HEADER_EPOCH]), int(headers[HEADER_FRAME])
        place = (epoch, record.partition, number)
        if place in values:
            assert HEADER_REPLAYED in headers, "a second copy that does not say so"
            assert values[place] == record.value, "the same frame with another content"
            topic.copies += 1
            continue
        values[place] = record.value
        topic.frames.setdefault(place[:2], []).append(number)
        for event in map(read_event, split_frame(record.value)):
            if event.exchangeid:
                topic.events.setdefault(event.exchangeid, []).append(event)
    ids = set[str]()
    for record in audit:
        found = read_record(record.value, record.headers)
        act = read_value(AuditEvent, found.value)
        if act.act == "gap" and found.id not in ids:
            ids.add(found.id)
            topic.gaps.append(Gap.model_validate(act.details))
    return topic


def _faults(traffic: list[Any], audit: list[Any]) -> list[Fault]:
    """What a verification finds in the frames and events of these records; acts excuse what is missing."""
    report, acts = Report("test"), Acts()
    for record in audit:
        acts.feed(record.value)
    for partition in {record.partition for record in traffic}:
        items = [
            item
            for record in traffic
            if record.partition == partition
            for item in decode(
                Source(
                    *(record.topic, partition, record.offset, record.key, record.value),
                    tuple(record.headers),
                    record.timestamp,
                )
            )
        ]
        copies = copies_among(items, {})
        columns = events_columns(items, {(topics.TRAFFIC, partition): Mark()}, copies, 0)
        check = FrameCheck(report)
        for values in zip(*(columns[name] for name in ROW), strict=True):
            row = Row(*(value.encode() if isinstance(value, str) else value for value in values))
            check.feed(row, None)
        check.finish(partition, acts, topics.TRAFFIC)
    return report.faults


async def _records(settings: Settings, name: str) -> list[Any]:
    consumer = AIOKafkaConsumer(**kafka_client(settings), auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(name, number) for number in range(settings.kafka.partitions)]
        consumer.assign(places)
        found: list[Any] = []
        for place, end in (await consumer.end_offsets(places)).items():
            while await consumer.position(place) < end:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


def completion_of(events: list[Event]) -> dict[str, Any]:
    """The completion of an exchange, as JSON."""
    (found,) = [json.loads(event.body) for event in events if event.kind == "completion"]
    return dict(found)


def segments(folder: Path) -> Iterator[Path]:
    """The files of a journal, in order."""
    yield from sorted(folder.glob("*.seg"))
