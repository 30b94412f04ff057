"""Answers that an upstream should not give: what the client sees, what the trail says, and whether the connection is
used again. Real sockets on both sides."""

import asyncio
import socket
import struct
from dataclasses import dataclass

import pytest

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
NOT_HTTP = "the upstream's answer is not HTTP"
CLOSED = "the upstream closed the connection"
RESET = "the upstream reset the connection"
CODING = "the upstream's answer is in a transfer coding that the gateway does not read"


@dataclass(frozen=True)
class Case:
    """What an upstream says at once, and `later`, when the client has the head; how its connection ends then; what the
    client gets, `whole` or broken off, what the completion says, and whether the next request uses the same connection.
    """

    says: bytes
    later: bytes = b""
    then: str = "keep"
    status: int = 200
    body: bytes = b"abc"
    whole: bool = True
    outcome: str = "completed"
    reason: str = ""
    reused: bool = False
    method: str = "POST"


def refused(says: bytes, reason: str = NOT_HTTP, then: str = "keep") -> Case:
    """The client gets a 502 in the place of this answer."""
    return Case(says, then=then, status=502, outcome="upstream_error", reason=reason)


def broken(says: bytes, reason: str, then: str = "keep", *, later: bytes = b"", body: bytes = b"abc") -> Case:
    """The client gets the head and `body`, and a connection that breaks off."""
    return Case(says, later, then, 200, body, False, "upstream_error", reason)


CASES = {
    "as it should be": Case(OK + b"abc", reused=True),
    "interim answers first": Case(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 3 + OK + b"abc", reused=True),
    "bytes behind the length": Case(OK + b"abcdef"),
    "garbage behind the answer": Case(OK + b"abc\x00\xff\x00"),
    "half a head behind the answer": Case(OK + b"abcHTTP/1.1 2"),
    "a second answer": Case(OK + b"abc" + OK + b"xyz"),
    "garbage behind the chunks": Case(CHUNKED + b"3\r\nabc\r\n0\r\n\r\nxyz"),
    "closed before the length": broken(OK + b"ab", CLOSED, "close", body=b"ab"),
    "reset before the length": broken(OK + b"ab", RESET, "reset", body=b"ab"),
    "closed before the last chunk": broken(CHUNKED + b"3\r\nabc\r\n", CLOSED, "close"),
    "closed inside a chunk": broken(CHUNKED + b"5\r\nabc", CLOSED, "close"),
    "half-closed before the last chunk": broken(CHUNKED + b"3\r\nabc\r\n", CLOSED, "half-close"),
    "half-closed behind the answer": Case(OK + b"abc", then="half-close"),
    "closed before the head": refused(b"", CLOSED, "close"),
    "closed inside the head": refused(b"HTTP/1.1 200 OK\r\ncontent-le", CLOSED, "close"),
    "reset before the head": refused(b"HTTP/1.1", RESET, "reset"),
    "chunk size negative": broken(CHUNKED, NOT_HTTP, later=b"-3\r\nabc\r\n0\r\n\r\n", body=b""),
    "chunk size beyond 64 bits": broken(CHUNKED, NOT_HTTP, later=b"f" * 17 + b"\r\nabc\r\n", body=b""),
    "chunk size 0x3": broken(CHUNKED, NOT_HTTP, later=b"0x3\r\nabc\r\n0\r\n\r\n", body=b""),
    "chunk longer than its size": broken(CHUNKED, NOT_HTTP, later=b"2\r\nabc\r\n0\r\n\r\n", body=b"ab"),
    "length and coding": refused(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc"),
    "two lengths": refused(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc"),
    "negative length": refused(b"HTTP/1.1 200 OK\r\ncontent-length: -3\r\n\r\nabc"),
    "length beyond 64 bits": refused(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nabc"),
    "another transfer coding": refused(b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", CODING),
    "a coding that is not chunked": refused(b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc", CODING),
    "no HTTP": refused(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "HTTP/0.9": refused(b"<html>hello</html>", then="close"),
    "a status below 100": refused(b"HTTP/1.1 099 Odd\r\ncontent-length: 3\r\n\r\nabc"),
    "NUL in the head": refused(b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n"),
    "bare line feeds": refused(b"HTTP/1.1 200 OK\ncontent-length: 3\n\nabc"),
    "folded header": refused(b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 3\r\n\r\nabc"),
    "endless header": refused(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 300_000, "the upstream's head is too large"),
    "endless headers": refused(b"HTTP/1.1 200 OK\r\n" + b"x: aaaa\r\n" * 40_000, "the upstream's head is too large"),
    "endless interim answers": refused(b"HTTP/1.1 102 Processing\r\n\r\n" * 12_000, "the upstream's head is too large"),
    "another protocol": refused(
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n\x81\x02hi",
        "the upstream switched protocols",
    ),
    "an offer of another protocol": Case(
        b"HTTP/1.1 200 OK\r\nupgrade: h2c\r\nconnection: upgrade\r\ncontent-length: 3\r\n\r\nabc", reused=True
    ),
    "a redirect": Case(
        b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 3\r\n\r\nabc",
        status=302,
        reused=True,
    ),
    "HTTP/1.0 with a length": Case(b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc", then="close"),
    "HTTP/1.0 without a length": Case(b"HTTP/1.0 200 OK\r\n\r\nabc", then="close"),
    "HTTP/1.0 that keeps the connection": Case(
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\nabc", reused=True
    ),
    "connection: close": Case(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc", then="close"),
    "no framing": Case(b"HTTP/1.1 200 OK\r\n\r\nabc", then="close"),
    "no framing, half-closed": Case(b"HTTP/1.1 200 OK\r\n\r\nabc", then="half-close"),
    "no framing, reset": broken(b"HTTP/1.1 200 OK\r\n\r\nabc", RESET, "reset"),
    "204": Case(b"HTTP/1.1 204 No Content\r\n\r\n", status=204, body=b"", reused=True),
    "204 with a length and a body": Case(
        b"HTTP/1.1 204 No Content\r\ncontent-length: 3\r\n\r\nabc", status=204, body=b""
    ),
    "304": Case(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n", status=304, body=b"", reused=True),
    "HEAD": Case(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n", body=b"", method="HEAD"),
    "HEAD with a body": Case(OK + b"abc", body=b"", method="HEAD"),
}


class Hostile:
    """Says its case once; every later request is answered well."""

    def __init__(self, case):
        self.case, self.given = case, asyncio.Event()

    async def __call__(self, call, reader, writer):
        if call.line.startswith("GET"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwell")
            return
        for start in range(0, len(self.case.says), 100_000):
            writer.write(self.case.says[start : start + 100_000])
            await writer.drain()
        if self.case.later:
            await self.given.wait()
            writer.write(self.case.later)
            await writer.drain()
        if self.case.then == "half-close":
            writer.write_eof()
            await reader.read()
        elif self.case.then == "reset":
            await self.given.wait()
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        if self.case.then != "keep":
            raise ConnectionResetError


async def seen(reader, method, headed=None):
    """What a client sees: status, headers, body, and whether it is whole. `headed` is set once the head is here."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode("latin-1")
    if headed is not None:
        headed.set()
    line, *lines = head[:-4].split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines)}
    status, body = int(line.split()[1]), b""
    try:
        if method == "HEAD" or status in (204, 304):
            pass
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(await asyncio.wait_for(reader.readuntil(b"\r\n"), 5), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readexactly(2)
        else:
            body = await asyncio.wait_for(reader.readexactly(int(headers["content-length"])), 5)
    except asyncio.IncompleteReadError as error:
        return status, headers, body + error.partial, False
    return status, headers, body, True


@pytest.mark.parametrize("name", CASES)
async def test_a_hostile_answer(upstream, tap, name):
    case = CASES[name]
    script = Hostile(case)
    up = await upstream(script)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write(f"{case.method} /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode())
    if case.status == 502:
        script.given.set()
    status, headers, body, whole = await seen(reader, case.method, script.given)
    assert status == case.status
    assert headers["x-penstock-exchange-id"] == gate.ids()[0]
    completion = await gate.completion()
    if status != 502:
        assert (body, whole) == (case.body, case.whole)
        assert b"".join(event.body for event in gate.events() if event.kind == "chunk") == case.body
    assert (completion.outcome, completion.reason) == (case.outcome, case.reason)
    assert completion.status == case.status
    assert [call.line.split()[0] for call in up.calls] == [case.method]
    await follows(gate, up, case)


async def follows(gate, up, case):
    """The next exchange is whole, whatever the one before was; it uses the same connection only where that is safe."""
    reader, writer = await gate.connect()
    writer.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await seen(reader, "GET"))[2:] == (b"well", True)
    assert up.connections == (1 if case.reused else 2)


async def test_bytes_on_a_waiting_connection_end_it(upstream, tap, post, answer):
    say = asyncio.Event()

    async def script(call, reader, writer):
        writer.write(OK + b"abc")
        await writer.drain()
        if len(up.calls) == 1:
            await say.wait()
            writer.write(OK + b"xyz")
            await writer.drain()
            await reader.read()

    up = await upstream(script)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    assert (await answer(reader))[2] == b"abc"
    say.set()
    async with asyncio.timeout(5):
        while gate.core.pools["openai"].idle_count:  # noqa: ASYNC110 - the pool has no event of its own
            await asyncio.sleep(0.002)
    writer.write(post(b"{}"))
    assert (await answer(reader))[2] == b"abc"
    assert up.connections == 2


async def test_an_answer_before_the_request_is_complete(upstream, tap, answer):
    early = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nabc"

    async def refuse(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(early if head.startswith(b"POST") else OK + b"abc")
        await writer.drain()
        await reader.read()

    up = await upstream(None)
    up.take = refuse
    gate = await tap(up.url, parse_max_bytes=1024)
    reader, writer = await gate.connect()
    writer.write(b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 90000\r\n\r\n" + bytes(5000))
    status, _, body = await answer(reader)
    assert (status, body) == (413, b"abc")
    writer.write(bytes(5000))
    assert await asyncio.wait_for(reader.read(), 5) == b""
    completion = await gate.completion()
    assert (completion.outcome, completion.reason) == ("upstream_error", "upstream status 413")
    assert 0 < completion.request_bytes < 90_000
    reader, writer = await gate.connect()
    writer.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await answer(reader))[0] == 200
    assert up.connections == 2, "what is missing of the first request would be read out of the second"
