"""A tap that runs out of file descriptors: it says so, serves whom it has, and neither dies nor spins."""

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from penstock.gateway_tap.descriptors import EACH, RESERVE, room_for_clients

ASK = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
PROGRAM = """
import asyncio, pathlib, resource, sys, uvloop
from penstock.gateway_tap.build import build
from penstock.gateway_tap.clock import Clock
from penstock.gateway_tap.memory import MemoryPublisher
from penstock.gateway_tap.serve import listen
from penstock.schemas.secrets import new_secret_text
from penstock.schemas.settings import Settings

folder, before, after, url = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

async def main():
    (folder / ".penstock/secrets").mkdir(parents=True)
    (folder / ".penstock/secrets/pepper").write_text(new_secret_text())
    settings = Settings(
        base=folder, tap={"listen": "127.0.0.1:0"}, upstreams=[{"name": "openai", "url": url}]
    )
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, before))
    core = build(settings, MemoryPublisher(), Clock())
    resource.setrlimit(resource.RLIMIT_NOFILE, (after, before))
    _, address = await listen(core, settings.tap.listen)
    print(address, flush=True)
    await asyncio.Event().wait()

uvloop.run(main())
"""
UPSTREAM = """
import asyncio

async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\n{}")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print("127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
Start = Callable[..., tuple[int, tuple[str, int]]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a tap that may open `before` descriptors when it is built and `after` when it serves; its process id and
    address."""
    running: list[subprocess.Popen[str]] = []

    def program(text: str, *arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-c", text, *arguments]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        stdout = running[-1].stdout
        assert stdout is not None
        lines = (line for line in iter(stdout.readline, "") if line.startswith("127.0.0.1:"))
        return running[-1].pid, next(lines).strip()

    def begin(before: int, after: int) -> tuple[int, tuple[str, int]]:
        _, upstream = program(UPSTREAM)
        pid, address = program(PROGRAM, str(tmp_path), str(before), str(after), f"http://{upstream}")
        host, _, port = address.partition(":")
        return pid, (host, int(port))

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def ask(connection: socket.socket) -> bytes:
    connection.settimeout(10)
    try:
        connection.sendall(ASK)
        return connection.recv(65_536)
    except OSError:
        return b""


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def connect(address: tuple[str, int], count: int) -> list[socket.socket]:
    return [socket.create_connection(address, timeout=10) for _ in range(count)]


def test_too_many_clients_for_the_descriptors_are_told_so(start: Start) -> None:
    _, address = start(RESERVE + EACH * 10, RESERVE + EACH * 10)
    served = connect(address, 10)
    assert all(b"200 OK" in ask(connection) for connection in served)
    (refused,) = connect(address, 1)
    refused.settimeout(10)
    assert b"503 Service Unavailable" in refused.recv(65_536)
    for connection in [*served[1:], refused]:
        connection.close()
    assert b"200 OK" in ask(served[0])
    served[0].close()


def test_without_descriptors_the_tap_neither_dies_nor_spins(start: Start) -> None:
    """The kernel's accept queue stays readable while `accept` fails: a naive loop would turn without end."""
    pid, address = start(4096, 40)
    waiting = connect(address, 80)
    opened = Path(f"/proc/{pid}/fd")
    while len(list(opened.iterdir())) < 40:
        time.sleep(0.005)
    answers = [ask(connection) for connection in waiting]
    assert b"the gateway has no file descriptor left to call the upstream with" in b"".join(answers)
    before = cpu_ticks(pid)
    assert b"no file descriptor left" in ask(waiting[0])
    for _ in range(200):
        with closing(socket.create_connection(address, timeout=10)) as connection:
            connection.settimeout(10)
            assert connection.recv(1) == b"", "it is closed, not left to wait"
    assert cpu_ticks(pid) - before < os.sysconf("SC_CLK_TCK"), "200 connections cost less than a second of CPU"
    for connection in waiting:
        connection.close()
    for _ in range(100):
        with closing(socket.create_connection(address, timeout=10)) as connection:
            if b"200 OK" in ask(connection):
                return
    pytest.fail("it does not serve again")


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], list[tuple[int, int]]]:
    """Puts a soft and a hard limit in the place of this process's; returns what was set."""

    def put(soft: int, hard: int) -> list[tuple[int, int]]:
        given: list[tuple[int, int]] = []
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
        monkeypatch.setattr(resource, "setrlimit", lambda _, pair: given.append(pair))
        return given

    return put


INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "room", "raised"),
    [
        (1024, 4096, 1000, [(2128, 4096)]),
        (4096, 4096, 1000, []),
        (1024, 1024, 448, []),
        (256, 1024, 448, [(1024, 1024)]),
        (1024, INFINITE, 1000, [(2128, INFINITE)]),
        (INFINITE, INFINITE, 1000, []),
        (64, 64, 1, []),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_needed(
    limits: Callable[[int, int], list[tuple[int, int]]], soft: int, hard: int, room: int, raised: list[tuple[int, int]]
) -> None:
    given = limits(soft, hard)
    assert room_for_clients(1000) == room
    assert given == raised
