"""A whole system for one part of the benchmark: fresh, in a folder of its own, gone afterwards."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from penstock.local.deployment import Deployment
from penstock.local.logfile import last_lines
from penstock.local.secrets import make_secrets
from penstock.schemas.addresses import kafka_client, read_run_file
from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.keys import key_hash
from penstock.schemas.secrets import read_secret
from penstock.schemas.settings import load_settings
from penstock.schemas.topics import ATTRIBUTION, TRAFFIC, USAGE
from penstock.trail.store import connect
from penstock.trail.verify import log_ends

Tell = Callable[[str], None]
READS = {"penstock-meter": (TRAFFIC, USAGE), "penstock-record": (TRAFFIC, ATTRIBUTION)}
DRAINED_WITHIN_S = 180.0


@dataclass(slots=True)
class System:
    """A deployment that runs, and what the benchmarks ask of it."""

    deployment: Deployment

    @property
    def port(self) -> int:
        """Where the tap listens."""
        return urlsplit(str(read_run_file(self.deployment.settings.run, "tap")["url"])).port or 0

    def pid(self, part: str) -> int:
        return self.deployment.pids[part]

    async def query(self, sql: str) -> list[tuple[Any, ...]]:
        return await asyncio.to_thread(self._query, sql)

    async def until(self, done: Callable[[], Any], what: str, within_s: float = DRAINED_WITHIN_S) -> Any:
        """The first true result of the coroutine function `done`."""
        end = time.monotonic() + within_s
        while not (found := await done()):
            if time.monotonic() > end:
                raise TimeoutError(f"waited {within_s:.0f} s for {what}")
            await asyncio.sleep(0.05)
        return found

    async def patient(self, done: Callable[[], Any], what: str) -> None:
        """`until`, of a store that may be away meanwhile."""

        async def asked() -> bool:
            try:
                return bool(await done())
            except ServiceUnavailable:
                return False

        await self.until(asked, what)

    async def drained(self) -> None:
        """Returns once both workers have acknowledged all traffic, and what follows from it."""

        async def done() -> bool:
            try:
                return not await self._behind()
            except (KafkaError, ServiceUnavailable):
                return False

        await self.until(done, "the workers to catch up")

    async def _behind(self) -> int:
        settings, behind = self.deployment.settings, 0
        ends = await log_ends(settings, tuple({name for names in READS.values() for name in names}))
        admin = AIOKafkaAdminClient(**kafka_client(settings))
        try:
            await admin.start()
            for group, names in READS.items():
                marks = await admin.list_consumer_group_offsets(group)
                done = {(place.topic, place.partition): mark.offset for place, mark in marks.items()}
                behind += sum(end - max(0, done.get(place, 0)) for place, end in ends.items() if place[0] in names)
        finally:
            await admin.close()
        return behind

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        client = connect(self.deployment.settings, "reader")
        try:
            return [tuple(row) for row in client.query(sql).result_rows]
        finally:
            client.close()


@asynccontextmanager
async def system(
    upstream: str,
    tell: Tell,
    *,
    mode: str = "observe",
    teams: Mapping[str, str] | None = None,
    limits: Sequence[Mapping[str, Any]] = (),
) -> AsyncIterator[System]:
    """A system before `upstream`; `teams` are names and their credentials."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        config = _write(Path(folder), upstream, mode, teams or {}, limits)

        def heard(line: str) -> None:
            tell(line)
            if " ended with code " in line and "code -9" not in line:
                tell(last_lines(config.parent / "state" / "logs", line.split()[0]))

        async with Deployment(config, heard) as deployment:
            yield System(deployment)


@asynccontextmanager
async def endpoint(rate_per_s: int) -> AsyncIterator[str]:
    """The local model endpoint as a process of its own; its URL."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        record = str(Path(folder) / "endpoint.jsonl")
        command = [sys.executable, "-m", "penstock.local.endpoint", "--listen", "127.0.0.1:0"]
        process = await asyncio.create_subprocess_exec(
            *command, "--rate", str(rate_per_s), "--record", record, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            yield (await process.stdout.readline()).decode().split()[1]
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


def _write(
    folder: Path, upstream: str, mode: str, teams: Mapping[str, str], limits: Iterable[Mapping[str, Any]]
) -> Path:
    config = folder / "penstock.yaml"
    content = {
        "tap": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "mode": mode},
        "upstreams": [{"name": "bench", "url": upstream, "dialect": "openai"}],
        "kafka": {"embedded": {"listen": "127.0.0.1:0"}},
        "clickhouse": {"embedded": {"listen": "127.0.0.1:0"}},
        "trail": {"origin": "localhost/penstock-bench", "checkpoint_every_s": 1},
        "policy": "policy.yaml",
        "state_dir": "state",
    }
    config.write_text(json.dumps(content))  # JSON is YAML
    settings = load_settings(config)
    make_secrets(settings)
    pepper = read_secret("pepper", settings.secrets.pepper, settings.state).current
    policy = {
        "owner": {"name": "Bench", "contact": "bench@example.org"},
        "version": "bench.1",
        "limits": [dict(limit) for limit in limits],
        "keys": [
            {"id": f"key-{team}", "hash": key_hash(credential.encode(), pepper), "team": team}
            for team, credential in teams.items()
        ],
    }
    (folder / "policy.yaml").write_text(json.dumps(policy))
    return config
