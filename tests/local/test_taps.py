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
from tests.gateway_tap.conftest import Upstream
from tests.gateway_tap.processes import LAST, WITHIN_S, Held, Process, ask, tap_process


async def one_stream_each(tap: Process) -> dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A running stream in every process, by process id."""
    found: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
    async with asyncio.timeout(WITHIN_S):
        while len(found) < 2:
            before = await running(tap)
            reader, writer = await tap.connect()
            writer.write(ask())
            await reader.readuntil(b"one begins")
            after = before
            while after == before:
                after = await running(tap)
            (name,) = [name for name in after if after[name] != before.get(name, 0)]
            pid = read_run_file(tap.settings.run, tap.found["workers"][name])["pid"]
            if pid in found:
                writer.close()
            else:
                found[pid] = (reader, writer)
    return found


async def running(tap: Process) -> dict[str, str]:
    lines = (await tap.get("/metrics", tap.authorization))[1].decode().splitlines()
    return {line.split('"')[1]: line.split()[-1] for line in lines if line.startswith("penstock_tap_running{")}


async def ready(tap: Process, wanted: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while (await tap.get("/readyz"))[0] != wanted:  # noqa: ASYNC110 - other processes, which signal nothing
            await asyncio.sleep(0.02)


async def test_a_killed_process_drops_its_own_streams_and_comes_back(tmp_path: Path) -> None:
    held = Held()
    made = Upstream(held)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    url = "http://{}:{}".format(*server.sockets[0].getsockname())
    async with tap_process(tmp_path, url, arguments=("--workers", "2"), tap={"audit": "journal"}) as tap:
        assert sorted(tap.found["workers"]) == ["tap-1-1", "tap-1-2"]
        await ready(tap, 200)
        streams = await one_stream_each(tap)
        (dead, (dead_reader, dead_writer)), (_, (reader, writer)) = streams.items()
        os.kill(dead, signal.SIGKILL)
        with contextlib.suppress(ConnectionResetError):
            assert not (await asyncio.wait_for(dead_reader.read(), 10)).endswith(LAST)
        await ready(tap, 503)
        await ready(tap, 200)
        held.go_on.set()
        await reader.readuntil(LAST)
        status, body = await tap.get("/readyz", tap.authorization)
        assert (status, sorted(json.loads(body)["workers"])) == (200, ["tap-1-1", "tap-1-2"])
        tap.tell(signal.SIGHUP)
        await reloaded(tap)
        tap.tell(signal.SIGTERM)
        assert await tap.ended() == 0
        dead_writer.close()
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
