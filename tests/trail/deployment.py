"""Records events as the record worker does, seals them, alters the store as nobody should, and verifies."""

import base64
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from penstock.schemas import attribution, audit, facts, frames, ids, topics
from penstock.schemas.events import Completion
from penstock.schemas.records import write_record
from penstock.schemas.secrets import new_secret_text
from penstock.schemas.settings import Settings, load_settings
from penstock.streams.decode import decode
from penstock.streams.source import Source
from penstock.streams.store import Store
from penstock.trail.checkpoint import Checkpoint
from penstock.trail.report import Report
from penstock.trail.sealer import Sealer
from penstock.trail.store import connect
from penstock.trail.verify import verify

TRAFFIC = "penstock.traffic.v1"
AT_US = 1_795_500_000_000_000
TABLES = ("events_log", "content", "decoded", "leaves", "checkpoints", *facts.TABLES)
_ORDER: dict[str, Any] = {
    "order_id": "o",
    "scope": "team:red",
    "limit_id": "red-day",
    "reason": "limit",
    "epoch": 1,
    "decided_at_us": AT_US + 3,
    "received_at_us": AT_US + 4,
    "applied_at_us": AT_US + 5,
}
_ATTRIBUTION: dict[str, Any] = {
    "identity": {"key_id": "k1", "org": "o", "team": "red", "app": "a", "user": "ü", "authenticated": True},
    "upstream": "local",
    "dialect": "openai",
    "api": "openai.chat",
    "path": "/v1/chat/completions",
    "model": "m",
    "outcome": "killed",
    "started_at_us": AT_US,
    "ended_at_us": AT_US + 9,
    "ttft_us": 1234,
    "duration_us": 98_765,
    "input": {"tokens": 11, "source": "reported"},
    "output": {"tokens": 7, "source": "counted", "method": "o200k_base"},
    "usage_raw": [{"prompt_tokens": 11}],
    "cost_usd": "0.1234567890123",
    "price_source": "test",
    "kill": {"order": _ORDER, "overshoot_tokens": 2, "cut_us": 1501},
}
READY_S = 60.0
SSE = b'data: {"choices":[{"index":0,"delta":{"content":"word %d"}}]}\n\n'
HEAD = (
    b'{"v":1,"method":"POST","path":"/v1/chat/completions","upstream":"local","dialect":"openai","api":"openai.chat",'
    b'"model":"m","stream":true,"identity":{"key_id":"k1"},"tap":"t1","mode":"observe","audit":"besteffort"}'
)


@dataclass(slots=True)
class Deployment:
    """One trail. Its store may be shared with other tests, one after another."""

    config: Path
    settings: Settings
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path, origin: str) -> "Deployment":
        config = folder / "trail.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "state_dir": "state",
                    "kafka": {"embedded": {"listen": "127.0.0.1:0"}},
                    "clickhouse": {"embedded": {"listen": "127.0.0.1:0"}},
                    "trail": {"origin": origin, "checkpoint_every_s": 0.3},
                }
            )
        )
        settings = load_settings(config)
        secret = settings.state / "secrets" / "signing_key"
        secret.parent.mkdir(parents=True)
        secret.write_text(new_secret_text())
        return cls(config, settings)

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def empty(self) -> None:
        self.alter(*(f"TRUNCATE TABLE penstock.{table}" for table in TABLES))

    def alter(self, *statements: str) -> None:
        """What an administrator of the store could do to it."""
        client = connect(self.settings, "admin")
        for statement in statements:
            client.command(statement)
        client.close()

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        client = connect(self.settings, "reader")
        rows = list(client.query(statement).result_rows)
        client.close()
        return rows

    def record(self, *sources: Source) -> None:
        """Stores records as the record worker would."""
        store = Store(self.settings)
        store.write([item for source in sources for item in decode(source)])
        store.close()

    def frame(self, events: list[bytes], partition: int = 0) -> Source:
        """The next frame of the one tap in a partition."""
        offset = self._next(topics.TRAFFIC, partition)
        named = ((frames.HEADER_TAP, b"t1"), (frames.HEADER_EPOCH, b"7"), (frames.HEADER_FRAME, b"%d" % offset))
        return Source(topics.TRAFFIC, partition, offset, None, frames.write_frame(events), named, AT_US // 1000)

    def act(self, event_id: str = "", **fields: Any) -> Source:
        """The next record of the audit topic."""
        offset = self._next(topics.AUDIT, 0)
        event = audit.AuditEvent.model_validate({"subject": "s", "actor": "cli:test", "at_us": AT_US, **fields})
        record = write_record(
            event, id=event_id or f"act/{offset}", type=audit.TYPE, source="/cli", subject=event.subject, time_us=AT_US
        )
        return Source(topics.AUDIT, 0, offset, b"s", record.value, tuple(record.headers()), AT_US // 1000)

    def settled(self, exchange: str, **fields: Any) -> Source:
        """The next record of the attribution topic: what one exchange used."""
        offset = self._next(topics.ATTRIBUTION, 0)
        event = attribution.Attribution.model_validate({**_ATTRIBUTION, "exchange_id": exchange, **fields})
        record = write_record(
            event,
            id=f"{exchange}/attribution",
            type=attribution.TYPE,
            source="/meter",
            subject="key:k1",
            time_us=AT_US,
            exchange_id=exchange,
        )
        return Source(topics.ATTRIBUTION, 0, offset, b"x", record.value, tuple(record.headers()), AT_US // 1000)

    def exchange(self, chunks: int = 6, per_frame: int = 3, partition: int = 0) -> str:
        """Records one whole exchange, in frames; returns its id."""
        exchange = ids.new_exchange_id()
        events = exchange_events(exchange, chunks)
        self.record(*(self.frame(events[at : at + per_frame], partition) for at in range(0, len(events), per_frame)))
        return exchange

    async def seal(self) -> Checkpoint:
        """Seals and signs what there is."""
        sealer = Sealer(self.settings)
        try:
            await sealer.open()
            while await sealer.seal():
                pass
            return await sealer.sign()
        finally:
            await sealer.close()

    async def verify(self, checkpoints: Path | None = None, key: str | None = None) -> Report:
        return await verify(self.settings, checkpoints, key, lambda *_: None)

    async def faults(self) -> list[tuple[str, str]]:
        return [(fault.kind, fault.where) for fault in (await self.verify()).faults]

    def penstock(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Runs a command to its end."""
        return subprocess.run([*_command(arguments), "--config", str(self.config)], capture_output=True, timeout=120)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts a command; it is stopped with the deployment."""
        errors = (self.settings.state / "stderr").open("ab")
        process = subprocess.Popen([*_command(arguments), "--config", str(self.config)], stderr=errors)
        errors.close()
        self.processes.append(process)
        return process

    def _next(self, topic: str, partition: int) -> int:
        self.offsets[topic, partition] = self.offsets.get((topic, partition), -1) + 1
        return self.offsets[topic, partition]


def exchange_events(exchange: str, chunks: int) -> list[bytes]:
    """An exchange with head, one part of a request, chunks (the last withheld, then one of the tap's) and its end."""
    writer = frames.EventWriter(exchange, "/tap/t1", "key:k1")
    bodies = [SSE % number for number in range(chunks)]
    parts: list[tuple[str, bytes, bytes, bytes]] = [
        (frames.PROMPT, HEAD, b"client", b""),
        (frames.PROMPT, b'{"messages":[]}', b"client", b',"part":1'),
        *((frames.CHUNK, body, b"upstream", b"") for body in bodies[:-1]),
        (frames.CHUNK, bodies[-1], b"upstream", b',"withheld":true'),
        (frames.CHUNK, b"data: [DONE]\n\n", b"tap", b""),
        (frames.COMPLETION, _completion(bodies), b"tap", b""),
    ]
    return [
        writer.write(
            *(kind, seq, ids.rfc3339(AT_US + seq).encode(), base64.b64encode(ids.new_salt()), body),
            origin=origin,
            extra=extra,
        )
        for seq, (kind, body, origin, extra) in enumerate(parts)
    ]


def _completion(bodies: list[bytes]) -> bytes:
    return (
        Completion(
            outcome="completed",
            status=200,
            request_bytes=15,
            response_bytes=len(b"".join(bodies)),
            client_bytes=len(b"".join(bodies[:-1]) + b"data: [DONE]\n\n"),
            started_at_us=AT_US,
            ended_at_us=AT_US + 9,
        )
        .model_dump_json()
        .encode()
    )


def until(condition: Callable[[], bool], what: str) -> None:
    """Returns when `condition` holds; fails after a minute. For other processes, whose events cannot be awaited."""
    end = time.monotonic() + READY_S
    while not condition():
        assert time.monotonic() < end, f"did not come: {what}"
        time.sleep(0.02)


def _command(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "penstock.cli.main", *arguments]


def at(offset: int, index: int, partition: int = 0) -> str:
    return f"topic = '{TRAFFIC}' AND partition = {partition} AND offset = {offset} AND frame_index = {index}"


def replaced(table: str, where: str, changes: str) -> str:
    """A statement that lets a later version of a row stand in its place."""
    chosen = f"(SELECT * FROM penstock.{table} WHERE {where})"
    return f"INSERT INTO penstock.{table} SELECT * REPLACE ({changes}) FROM {chosen}"
