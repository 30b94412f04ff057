"""The admin port answers what it knows, and nothing else."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock.gateway_tap.admin import Admin


@pytest.fixture
async def port() -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Admin(lambda: (False, {"ready": False}), lambda: b"a 1\n"), "127.0.0.1", 0
    )
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
        ("/readyz?x=1", b"503", b'{"ready":false}'),
        ("/metrics", b"200", b"a 1\n"),
        ("/", b"404", b"try /healthz, /readyz or /metrics\n"),
    ],
)
async def test_paths(port: int, path: str, status: bytes, body: bytes) -> None:
    got = await ask(port, f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    assert got.startswith(b"HTTP/1.1 " + status)
    assert got.endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize("data", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nx: " + b"a" * 9000])
async def test_anything_else_is_hung_up_on(port: int, data: bytes) -> None:
    assert await ask(port, data) == b""
