"""Several processes on one port: one that is killed drops its own streams alone, and comes back."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from penstock.schemas.addresses import read_run_file
from penstock.schemas.errors import ServiceUnavailable
from tests.gateway_tap.conftest import Upstream
from tests.gateway_tap.processes import LAST, WITHIN_S, Held, Process, ask, tap_process

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def one_stream_each(tap: Process) -> tuple[dict[str, list[Stream]], list[Stream]]:
    """Running streams by tap id, at least one in every process, and all of them."""
    found: dict[str, list[Stream]] = {name: [] for name in tap.found["workers"]}
    opened: list[Stream] = []
    before = dict.fromkeys(found, 0)
    async with asyncio.timeout(WITHIN_S):
        while not all(found.values()):
            reader, writer = await tap.connect()
            opened.append((reader, writer))
            writer.write(ask())
            await reader.readuntil(b"one begins")
            now = before
            while sum(now.values()) != len(opened):
                now = await running(tap)
            (name,) = [name for name in now if now[name] > before[name]]
            found[name].append((reader, writer))
            before = now
    return found, opened


async def running(tap: Process) -> dict[str, int]:
    lines = (await tap.get("/metrics", tap.authorization))[1].decode().splitlines()
    return {line.split('"')[1]: int(line.split()[-1]) for line in lines if line.startswith("penstock_tap_running{")}


async def ready(tap: Process, wanted: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while (await tap.get("/readyz"))[0] != wanted:  # noqa: ASYNC110 - other processes, which signal nothing
            await asyncio.sleep(0.02)


async def replaced(tap: Process, run_file: str, killed: int) -> None:
    """Returns once another process has written its run file."""
    found = killed
    async with asyncio.timeout(WITHIN_S):
        while found == killed:
            await asyncio.sleep(0.02)
            with contextlib.suppress(ServiceUnavailable):
                found = read_run_file(tap.settings.run, run_file)["pid"]


async def test_a_killed_process_drops_its_own_streams_and_comes_back(tmp_path: Path) -> None:
    held = Held()
    made = Upstream(held)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    url = "http://{}:{}".format(*server.sockets[0].getsockname())
    async with tap_process(tmp_path, url, arguments=("--workers", "2"), tap={"audit": "journal"}) as tap:
        assert sorted(tap.found["workers"]) == ["tap-1-1", "tap-1-2"]
        await ready(tap, 200)
        streams, opened = await one_stream_each(tap)
        run_file = tap.found["workers"]["tap-1-1"]
        killed = read_run_file(tap.settings.run, run_file)["pid"]
        os.kill(killed, signal.SIGKILL)
        for reader, _ in streams["tap-1-1"]:
            with contextlib.suppress(ConnectionResetError):
                assert not (await asyncio.wait_for(reader.read(), 10)).endswith(LAST)
        await replaced(tap, run_file, killed)
        await ready(tap, 200)
        held.go_on.set()
        for reader, _ in streams["tap-1-2"]:
            await asyncio.wait_for(reader.readuntil(LAST), 10)
        status, body = await tap.get("/readyz", tap.authorization)
        assert (status, sorted(json.loads(body)["workers"])) == (200, ["tap-1-1", "tap-1-2"])
        tap.tell(signal.SIGHUP)
        await reloaded(tap)
        tap.tell(signal.SIGTERM)
        assert await tap.ended() == 0
        for _, writer in opened:
            writer.close()
    server.close()


async def reloaded(tap: Process) -> None:
    logs = [tap.settings.state / "logs" / f"tap-{number}.log" for number in (1, 2)]
    async with asyncio.timeout(WITHIN_S):
        while not all('"event": "reloaded"' in path.read_text() for path in logs):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)


async def test_a_second_tap_of_one_id_is_refused(tmp_path: Path) -> None:
    for audit in ("besteffort", "journal"):
        base = tmp_path / audit
        base.mkdir()
        async with tap_process(base, "http://127.0.0.1:9", tap={"audit": audit}) as tap:
            command: list[Any] = ["-m", "penstock.cli.main", "tap", "--config", str(base / "penstock.yaml")]
            second = await asyncio.create_subprocess_exec(
                sys.executable, *command, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
            )
            _, said = await asyncio.wait_for(second.communicate(), WITHIN_S)
            assert second.returncode != 0
            assert f"another tap (process {tap.process.pid})".encode() in said
            assert b"tap.id" in said
