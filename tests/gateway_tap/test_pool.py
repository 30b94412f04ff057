"""Connections to upstreams: kept, reused, given up."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from penstock.gateway_tap import pool as pools
from penstock.gateway_tap.deadlines import Deadlines
from penstock.gateway_tap.outlet import Turn
from penstock.gateway_tap.pool import Pool
from penstock.gateway_tap.routes import Routes
from penstock.gateway_tap.upstream import Upstream
from penstock.schemas import tap_settings

from .pools import Caller, Late, connected

Start = Callable[..., Awaitable[int]]


def make(url: str, **timeouts: float) -> tuple[Pool, Late]:
    clock = Late()
    given = tap_settings.Timeouts(**timeouts)
    (route,) = Routes([tap_settings.Upstream(name="a", url=url)], given)
    return Pool(route, Deadlines(clock, given), clock, Turn(), 30.0), clock


@pytest.fixture
async def server() -> AsyncIterator[Start]:
    """Starts a server that only accepts, and hangs up at once if it is told to; returns its port."""
    servers: list[asyncio.Server] = []
    writers: list[asyncio.StreamWriter] = []

    async def start(hang_up: bool = False) -> int:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            if hang_up:
                writer.close()

        servers.append(await asyncio.start_server(accept, "127.0.0.1", 0))
        port: int = servers[-1].sockets[0].getsockname()[1]
        return port

    yield start
    for one in servers:
        one.close()
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0.01)


async def test_the_latest_connection_is_reused_and_old_ones_are_closed(server: Start) -> None:
    pool, clock = make(f"http://127.0.0.1:{await server()}")
    first, second = await connected(pool), await connected(pool)
    assert isinstance(first, Upstream)
    assert isinstance(second, Upstream)
    for upstream in (first, second):
        upstream.reused = True
        pool.give_back(upstream)
    assert pool.idle() is second
    clock.ahead_s = pools.IDLE_MAX_S + 1
    assert pool.idle() is None
    assert not first.usable
    second.close()


async def test_a_connection_that_the_server_closes_is_forgotten(server: Start) -> None:
    pool, _ = make(f"http://127.0.0.1:{await server(hang_up=True)}")
    upstream = await connected(pool)
    assert isinstance(upstream, Upstream)
    upstream.reused = True
    pool.give_back(upstream)
    async with asyncio.timeout(5):
        while upstream.usable:  # noqa: ASYNC110 - the connection has no event of its own
            await asyncio.sleep(0.005)
    assert pool.idle() is None


async def test_a_connection_that_cannot_be_made_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    refused, _ = make(f"http://127.0.0.1:{port}")
    assert await connected(refused) == "upstream refused the connection False connect"
    unknown, _ = make("http://no-such-host.invalid")
    assert await connected(unknown) == "the upstream's name cannot be resolved False connect"

    async def never(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    slow, _ = make("http://127.0.0.1:1", connect_s=0.05)
    monkeypatch.setattr(asyncio.get_running_loop().__class__, "create_connection", never, raising=False)
    assert await connected(slow) == "upstream connect timeout True connect"


def test_tls_is_checked() -> None:
    pool, _ = make("https://127.0.0.1")
    assert pool._tls is not None
    assert pool._tls.verify_mode == ssl.CERT_REQUIRED
    assert pool._tls.check_hostname


async def test_a_caller_that_fails_hears_of_it(server: Start) -> None:
    class Failing(Caller):
        def upstream_connected(self, upstream: Upstream) -> None:
            upstream.close()
            raise ZeroDivisionError

    pool, _ = make(f"http://127.0.0.1:{await server()}")
    caller = Failing()
    pool.connect(caller)
    assert await asyncio.wait_for(caller.told, 5) == "fault"
