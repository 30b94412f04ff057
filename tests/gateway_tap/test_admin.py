"""The admin port answers what it knows to whoever may know it, and nothing else."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock.gateway_tap import admin
from penstock.gateway_tap.admin import ROUTES, Admin, AdminPort

TOKEN = b"right-token"
PROOF = "authorization: Bearer right-token\r\n"
OPEN = {b"/healthz": b"ok\n", b"/readyz": b'{"ready":false}'}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    shared = AdminPort(lambda: (False, {"ready": False, "stale": True}), lambda: b"a 1\n", TOKEN)
    server = await asyncio.get_running_loop().create_server(lambda: Admin(shared), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.sleep(0.01)


async def ask(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/healthz", b"200", b"ok\n"),
        ("/readyz?x=1", b"503", b'{"ready":false,"stale":true}'),
        ("/metrics", b"200", b"a 1\n"),
        ("/", b"404", b"try /healthz, /readyz or /metrics\n"),
    ],
)
async def test_paths(port: int, path: str, status: bytes, body: bytes) -> None:
    got = await ask(port, f"GET {path} HTTP/1.1\r\nhost: x\r\n{PROOF}\r\n".encode())
    assert got.startswith(b"HTTP/1.1 " + status)
    assert got.endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize("path", sorted(ROUTES))
@pytest.mark.parametrize(
    "proof", [b"", b"Bearer", b"Bearer ", b"Bearer wrong", b"Basic right-token", b"right-token", b"Bearer right-token2"]
)
async def test_without_the_token_no_route_says_more_than_that_it_lives(port: int, path: bytes, proof: bytes) -> None:
    got = await ask(port, b"GET %b HTTP/1.1\r\nhost: x\r\nauthorization: %b\r\n\r\n" % (path, proof))
    if path in OPEN:
        assert got.endswith(b"\r\n\r\n" + OPEN[path])
    else:
        assert got.startswith(b"HTTP/1.1 401 ")
        assert b"a 1" not in got


@pytest.mark.parametrize("path", sorted(ROUTES))
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
async def test_only_get_is_answered(port: int, path: bytes, method: str) -> None:
    got = await ask(port, f"{method} {path.decode()} HTTP/1.1\r\nhost: x\r\n{PROOF}\r\n".encode())
    assert got.startswith(b"HTTP/1.1 405 ")
    assert b"access-control" not in got.lower()


@pytest.mark.parametrize("data", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nx: " + b"a" * 9000])
async def test_anything_else_is_hung_up_on(port: int, data: bytes) -> None:
    assert await ask(port, data) == b""


async def test_a_connection_that_trickles_is_hung_up_on(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "DEADLINE_S", 0.1)
    assert await ask(port, b"GET /healthz HTTP/1.1\r\nx: ") == b""


async def test_connections_are_few(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "CONNECTIONS_MAX", 1)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(0.05)
    assert await ask(port, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n") == b""
    writer.close()


def test_no_token_stands_in_a_repr() -> None:
    assert "right-token" not in repr(AdminPort(lambda: (True, {}), bytes, TOKEN))
