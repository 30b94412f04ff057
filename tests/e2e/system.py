"""A whole Penstock for tests: `penstock up` as its own process, on ports of its own, in a folder of its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import clickhouse_connect
import yaml

from penstock.local.secrets import make_secrets
from penstock.schemas.addresses import clickhouse_client, read_run_file
from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.keys import key_hash
from penstock.schemas.secrets import read_secret
from penstock.schemas.settings import Settings, load_settings
from penstock.trail.show import Body, Exchanges

PARTS = ("kafka", "clickhouse", "tap", "meter", "record", "seal")


class System:
    """`penstock up` between `start` and `stop`. Teams are given as name → credential; limits as in policy.yaml."""

    def __init__(
        self,
        folder: Path,
        upstreams: Sequence[Mapping[str, str]],
        *,
        teams: Mapping[str, str] | None = None,
        limits: Iterable[Mapping[str, Any]] = (),
        tap: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        self.folder, self.config = folder, folder / "penstock.yaml"
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "tap": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "mode": "enforce", **(tap or {})},
            "upstreams": [dict(upstream) for upstream in upstreams],
            "kafka": {"embedded": {"listen": "127.0.0.1:0"}},
            "clickhouse": {"embedded": {"listen": "127.0.0.1:0"}},
            "trail": {"checkpoint_every_s": 1, "origin": "test.example/penstock"},
            "policy": "policy.yaml",
            "state_dir": "state",
            **more,
        }
        self.config.write_text(yaml.safe_dump(content))
        self.settings: Settings = load_settings(self.config)
        make_secrets(self.settings)
        pepper = read_secret("pepper", self.settings.secrets.pepper, self.settings.state).current
        policy = {
            "owner": {"name": "Tests", "contact": "tests@example.org"},
            "version": "test.1",
            "limits": [dict(limit) for limit in limits],
            "keys": [
                {"id": f"key-{team}", "hash": key_hash(credential.encode(), pepper), "team": team, "org": "example"}
                for team, credential in (teams or {}).items()
            ],
        }
        (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Starts everything; returns once all parts are ready. AssertionError shows the output where they are not."""
        with (self.folder / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "penstock.cli.main", "up", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self.until(self._ready, "all parts to be ready", 120)
        return self

    def stop(self) -> int:
        """One Control-C; returns the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self._process.wait(60)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return str(read_run_file(self.settings.run, "tap")["url"])

    def pid(self, part: str) -> int:
        return int((self.settings.run / f"{part}.pid").read_text())

    def kill(self, part: str) -> int:
        """kill -9; returns the process id that died."""
        pid = self.pid(part)
        os.kill(pid, signal.SIGKILL)
        return pid

    def until_back(self, part: str, died: int, within_s: float = 90) -> float:
        """Waits until `part` runs again under another process id and says that it is ready; seconds that it took."""
        began = time.monotonic()

        def back() -> bool:
            try:
                found = read_run_file(self.settings.run, part)
            except ServiceUnavailable:
                return False
            return int(found["pid"]) != died and Path(f"/proc/{found['pid']}").exists()

        self.until(back, f"{part} to be back", within_s)
        return time.monotonic() - began

    def query(self, sql: str, **parameters: Any) -> list[Sequence[Any]]:
        """Rows of a read."""
        client = clickhouse_connect.get_client(**clickhouse_client(self.settings, "reader"))
        try:
            return list(client.query(sql, parameters=parameters, column_formats={"body": "bytes"}).result_rows)
        finally:
            client.close()

    def until(self, done: Callable[[], Any], what: str, within_s: float = 60) -> Any:
        """The first true value of `done`; AssertionError with the end of all logs after `within_s`."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"penstock up ended with {self._process.returncode}\n{self.logs()}")
            found = done()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"waited {within_s} s for {what}\n{self.logs()}")

    def until_settled(self, exchanges: Iterable[str], within_s: float = 60) -> None:
        """Waits until every one of `exchanges` has its facts in ClickHouse."""
        wanted = set(exchanges)
        sql = "SELECT DISTINCT exchange_id FROM penstock.exchange_facts"
        self.until(lambda: not wanted - {row[0] for row in self.query(sql)}, f"{len(wanted)} exchanges", within_s)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """One `penstock` command with this system's configuration."""
        return subprocess.run(
            [sys.executable, "-m", "penstock.cli.main", *arguments, "--config", str(self.config)],
            capture_output=True,
            timeout=120,
            check=False,
        )

    def raw_responses(self, exchange_ids: Iterable[str], *, whole: bool = True) -> dict[str, bytes]:
        """What `penstock show ID --raw-response` gives, for many; `whole`: it must not say that some may be missing."""
        exchanges = Exchanges(self.settings)
        try:
            return {exchange_id: self._raw(exchanges, exchange_id, whole) for exchange_id in exchange_ids}
        finally:
            exchanges.close()

    @staticmethod
    def _raw(exchanges: Exchanges, exchange_id: str, whole: bool) -> bytes:
        body = Body("raw-response")
        content = b"".join(body.feed(event) for event in exchanges.events(exchange_id))
        assert not whole or not body.doubt(), (exchange_id, body.doubt())
        return content

    def verify(self) -> dict[str, Any]:
        """The verdict of `penstock verify --json`."""
        done = self.cli("verify", "--json")
        assert done.stdout, done.stderr.decode()
        content: dict[str, Any] = json.loads(done.stdout)
        return content

    def logs(self, characters: int = 1500) -> str:
        """The end of every log, for a failing test."""
        files = [self.folder / "up.log", *sorted((self.settings.state / "logs").glob("*.log"))]
        return "\n".join(
            f"--- {file.name}\n{file.read_text(errors='replace')[-characters:]}" for file in files if file.exists()
        )

    def _ready(self) -> bool:
        return all((self.settings.run / f"{part}.json").exists() for part in PARTS)


async def gather_bounded(jobs: Sequence[Callable[[], Any]], at_once: int) -> list[Any]:
    """Runs coroutine functions, `at_once` at a time; results in order."""
    gate = asyncio.Semaphore(at_once)

    async def one(job: Callable[[], Any]) -> Any:
        async with gate:
            return await job()

    return await asyncio.gather(*(one(job) for job in jobs))
