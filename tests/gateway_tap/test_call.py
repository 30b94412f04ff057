"""One call of an upstream: where bytes wait, and what is let go."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable

import pytest

from penstock.gateway_tap.answer import AnswerReader
from penstock.gateway_tap.attempts import Cause
from penstock.gateway_tap.call import Call
from penstock.gateway_tap.clock import Clock
from penstock.gateway_tap.deadlines import Deadlines
from penstock.gateway_tap.exchange import Exchange
from penstock.gateway_tap.outlet import Turn
from penstock.gateway_tap.pool import Pool
from penstock.gateway_tap.request import Request
from penstock.gateway_tap.routes import Routes
from penstock.gateway_tap.upload import Upload
from penstock.schemas.events import Identity
from penstock.schemas.tap_settings import Timeouts, Upstream


class Peer:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[str] = asyncio.Queue()

    def upstream_ready(self) -> None:
        self.told.put_nowait("ready")

    def upstream_head(self, answer: AnswerReader) -> None:
        self.told.put_nowait(f"head {answer.status}")

    def upstream_read(self, data: bytes, ended: bool) -> None:
        self.told.put_nowait(f"read {data.decode()} {ended}")

    def upstream_lost(self, reason: str, timeout: bool, cause: Cause) -> None:
        self.told.put_nowait(f"lost {cause}")

    def upstream_full(self, full: bool) -> None:
        raise AssertionError

    def fault(self) -> None:
        raise AssertionError

    async def hears(self) -> str:
        return await asyncio.wait_for(self.told.get(), 5)


class Server:
    """Says that all is well once a body of four bytes is here, and notes whether it is left."""

    def __init__(self) -> None:
        self.got = b""
        self.left = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        self.got = head + await reader.readexactly(4)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await reader.read()
        self.left.set()
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, int]]:
    script = Server()
    running = await asyncio.start_server(script, "127.0.0.1", 0)
    yield script, running.sockets[0].getsockname()[1]
    running.close()
    for writer in script.writers:
        writer.transport.abort()
    await asyncio.sleep(0.01)


def make(port: int) -> tuple[Call, Peer, Pool, Callable[[], bytes]]:
    clock, timeouts = Clock(), Timeouts()
    chosen = Routes([Upstream(name="a", url=f"http://127.0.0.1:{port}")], timeouts).choose(b"/v1/files")
    assert chosen is not None
    pool = Pool(chosen.route, Deadlines(clock, timeouts), clock, Turn(), 30.0)
    request = Request(0, 0.0, method="POST", content_length=4)
    exchange, peer = Exchange("e-1", 0, 0.0, Identity(key_id="k")), Peer()
    upload = Upload(request, None)
    begin = functools.partial(upload.start, chosen, [(b"x-a", b"1")])
    return Call(peer, exchange, request, upload), peer, pool, begin


async def test_what_comes_before_the_connection_waits_for_it(server: tuple[Server, int]) -> None:
    script, port = server
    call, peer, pool, begin = make(port)
    assert not call.send(b"ab")
    call.start(pool, begin)
    assert not call.send(b"c")
    assert await peer.hears() == "ready"
    assert call.send(b"d", last=True)
    assert await peer.hears() == "head 200"
    assert await peer.hears() == "read ok True"
    assert script.got.startswith(b"POST /v1/files HTTP/1.1\r\n")
    assert script.got.endswith(b"x-a: 1\r\ncontent-length: 4\r\n\r\nabcd")
    call.over()
    call.hang_up()
    assert pool.idle_count == 1, "the connection is the pool's again, and a late hang-up does not touch it"
    pool.close()


async def test_who_hangs_up_hears_no_more(server: tuple[Server, int]) -> None:
    script, port = server
    call, peer, pool, begin = make(port)
    call.start(pool, begin)
    call.hang_up()
    call.start(pool, begin)
    assert await peer.hears() == "ready"
    call.send(b"abcd")
    assert await peer.hears() == "head 200"
    call.hang_up()
    await asyncio.wait_for(script.left.wait(), 5)
    assert not call.send(b"more")
    assert peer.told.qsize() <= 1


async def test_an_upstream_that_is_not_there(server: tuple[Server, int]) -> None:
    call, peer, pool, begin = make(1)
    call.start(pool, begin)
    assert await peer.hears() == "lost connect"
    assert not call.again("upstream refused the connection", "connect"), "retries are off"
