"""`Expect: 100-continue` (RFC 9110, 10.1.1): the body is asked for once somebody wants it, and once only."""

import asyncio

import pytest

POST = b"POST /v1/x HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def fine(call, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


@pytest.mark.parametrize("limit", [1024, 1_000_000])
@pytest.mark.parametrize("chunked", [True, False])
async def test_the_body_is_asked_for_once(upstream, tap, answer, limit, chunked):
    up = await upstream(fine)
    gate = await tap(up.url, parse_max_bytes=limit)
    reader, writer = await gate.connect()
    writer.write(POST + (b"transfer-encoding: chunked\r\n\r\n" if chunked else b"content-length: 5000\r\n\r\n"))
    assert await asyncio.wait_for(reader.readexactly(len(CONTINUE)), 5) == CONTINUE
    if chunked:
        for piece in (b"13", b"88", b"\r\n", bytes(5000), b"\r\n0\r\n", b"\r\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)
    else:
        writer.write(bytes(5000))
    assert (await answer(reader))[0] == 200
    assert up.calls[0].body == bytes(5000)
    assert up.calls[0].header("expect") is None


async def test_a_final_answer_comes_in_the_place_of_100(tap, answer):
    gate = await tap("http://127.0.0.1:1", parse_max_bytes=1024)
    reader, writer = await gate.connect()
    writer.write(POST + b"content-length: 5000\r\n\r\n")
    status, headers, _ = await answer(reader)
    assert (status, headers["connection"]) == (502, "close"), "nobody can take the body"
    assert (await gate.completion()).request_bytes == 0


async def test_an_order_refuses_before_the_body(upstream, tap, answer):
    up = await upstream(fine)
    gate = await tap(up.url, parse_max_bytes=1024, mode="enforce")
    gate.order(action="block", scope="key:anonymous")
    reader, writer = await gate.connect()
    writer.write(POST + b"content-length: 5000\r\n\r\n")
    assert (await answer(reader))[0] == 429
    assert up.connections == 0


async def test_the_upstream_may_answer_before_the_body(upstream, tap, answer):
    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        await reader.read()

    up = await upstream(None)
    up.take = refuse
    gate = await tap(up.url, parse_max_bytes=1024)
    reader, writer = await gate.connect()
    writer.write(POST + b"content-length: 5000\r\n\r\n")
    assert await asyncio.wait_for(reader.readexactly(len(CONTINUE)), 5) == CONTINUE
    assert (await answer(reader))[0] == 401
    assert await asyncio.wait_for(reader.read(), 5) == b"", "what the client owes cannot be told from a next request"
    completion = await gate.completion()
    assert (completion.upstream_status, completion.request_bytes) == (401, 0)


async def test_a_client_that_does_not_wait_is_not_told_to(upstream, tap, answer):
    up = await upstream(fine)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write(POST + b"content-length: 5\r\n\r\nabc")
    await asyncio.sleep(0.02)
    writer.write(b"de")
    assert (await answer(reader))[0] == 200
