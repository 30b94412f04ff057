"""The origin: exact writes, keep-alive, hang-ups, and failures of a handler that are not lost."""

import asyncio
from contextlib import suppress

import pytest

from penstock.local.endpoint_http import Answer, HungUp, Request, serve

GET = b"GET /a?b HTTP/1.1\r\nHost: x\r\nX-Thing: 1\r\n\r\n"


async def dial(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def test_pieces_become_transfer_chunks_and_requests_keep_their_order() -> None:
    seen: list[Request] = []

    async def handle(request: Request, answer: Answer) -> None:
        seen.append(request)
        await answer.start(200, [("x-n", str(len(seen)))])
        for piece in (b"a", b"bc", b""):
            await answer.send(piece)
        await answer.finish()

    async with serve(handle) as url:
        reader, writer = await dial(url)
        writer.write(GET + GET)
        for number in (b"1", b"2"):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head == b"HTTP/1.1 200 OK\r\nx-n: %b\r\ntransfer-encoding: chunked\r\n\r\n" % number
            assert await reader.readexactly(len(b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")) == b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
        await close(writer)
    assert (seen[0].method, seen[0].target, seen[0].headers["x-thing"]) == ("GET", "/a?b", "1")


async def test_expect_is_answered_and_a_body_is_gathered() -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()

    async def handle(request: Request, answer: Answer) -> None:
        got.put_nowait(request.body)
        await answer.start(204, [], length=0)
        await answer.finish()

    async with serve(handle) as url:
        reader, writer = await dial(url)
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
        assert await got.get() == b"abc"
        await close(writer)


async def test_a_client_that_leaves_is_noticed() -> None:
    gone = asyncio.Event()

    async def handle(request: Request, answer: Answer) -> None:
        await answer.start(200, [])
        await answer.gone.wait()
        try:
            await answer.send(b"too late")
        except HungUp:
            gone.set()
            raise

    async with serve(handle) as url:
        reader, writer = await dial(url)
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        await close(writer)
        await asyncio.wait_for(gone.wait(), 5)


async def test_an_abort_resets_the_connection() -> None:
    async def handle(request: Request, answer: Answer) -> None:
        await answer.start(200, [], length=10)
        await answer.send(b"half ")
        answer.abort()

    async with serve(handle) as url:
        reader, writer = await dial(url)
        writer.write(GET)
        with suppress(ConnectionError):
            assert len((await reader.read()).partition(b"\r\n\r\n")[2]) < 10
        await close(writer)


async def test_a_handlers_failure_is_raised_in_the_end() -> None:
    async def handle(request: Request, answer: Answer) -> None:
        raise LookupError("a bug of the handler")

    with pytest.raises(LookupError, match="a bug"):
        async with serve(handle) as url:
            reader, writer = await dial(url)
            writer.write(GET)
            assert await reader.read() == b""
            await close(writer)
