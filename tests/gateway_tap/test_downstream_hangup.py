"""Clients that leave early: the upstream is left at once, what came so far is charged."""

import asyncio
import contextlib
import socket
import struct

import pytest

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"id":"r1","model":"m-1","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
USAGE = b'data: {"id":"r1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n'


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


async def stream(call, reader, writer):
    writer.write(HEAD + chunk(EVENT) + chunk(USAGE))
    await writer.drain()
    await reader.read(1)
    raise ConnectionResetError


async def silent(call, reader, writer):
    await reader.read(1)
    raise ConnectionResetError


def leave(writer, how):
    if how == "reset":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    elif how == "close":
        writer.close()
    else:
        writer.write_eof()


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
async def test_a_client_that_leaves_a_stream_is_charged_for_what_came(upstream, tap, post, how):
    up = await upstream(stream)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write(post(b'{"model":"m","stream":true}'))
    await asyncio.wait_for(reader.readuntil(USAGE), 5)
    leave(writer, how)
    await asyncio.wait_for(up.lost.wait(), 5)
    completion = await gate.completion()
    assert (completion.outcome, completion.reason) == ("client_disconnected", "the client closed the connection")
    assert (completion.chunk_count, completion.usage) == (2, [{"prompt_tokens": 3, "completion_tokens": 1}])
    if how == "half-close":
        with contextlib.suppress(ConnectionResetError):
            rest = await asyncio.wait_for(reader.read(), 5)
            assert not rest.endswith(b"0\r\n\r\n"), "it sees no clean end"


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
async def test_a_client_that_leaves_before_the_answer(upstream, tap, post, how):
    up = await upstream(silent)
    gate = await tap(up.url)
    _, writer = await gate.connect()
    writer.write(post(b"{}"))
    await asyncio.wait_for(up.called.wait(), 5)
    leave(writer, how)
    await asyncio.wait_for(up.lost.wait(), 5)
    completion = await gate.completion()
    assert (completion.outcome, completion.status, completion.response_bytes) == ("client_disconnected", 0, 0)
    assert gate.core.pools["openai"].idle_count == 0


async def test_a_client_that_leaves_while_it_takes_nothing(upstream, tap, post):
    async def flood(call, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 500000000\r\n\r\n")
        while True:
            writer.write(bytes(65_536))
            await writer.drain()

    up = await upstream(flood)
    gate = await tap(up.url)
    gate.publisher.publish, kept = lambda *_: True, gate.publisher.publish
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    (client,) = gate.core.clients
    async with asyncio.timeout(5):
        while client._outlet.waiting_bytes < 65_536:  # noqa: ASYNC110 - the tap has no event for it
            await asyncio.sleep(0.005)
    gate.publisher.publish = kept
    leave(writer, "half-close")
    await asyncio.wait_for(up.lost.wait(), 5)
    assert (await gate.completion()).outcome == "client_disconnected"


async def test_a_client_that_leaves_while_the_connection_is_made(upstream, tap, post, monkeypatch):
    async def never(*_, **__):
        await asyncio.sleep(60)

    gate = await tap("http://127.0.0.1:1")
    monkeypatch.setattr(asyncio.get_running_loop().__class__, "create_connection", never, raising=False)
    with socket.create_connection((gate.host, gate.port)) as client:
        client.sendall(post(b"{}"))
        await gate.first_event()
    completion = await gate.completion()
    assert (completion.outcome, completion.status) == ("client_disconnected", 0)


async def test_a_client_that_closes_its_side_between_requests_gets_its_last_answer(upstream, tap, post, answer):
    async def fine(call, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    gate = await tap((await upstream(fine)).url)
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    await gate.completion()
    writer.write_eof()
    assert (await answer(reader))[2] == b"{}"
    assert await asyncio.wait_for(reader.read(), 5) == b""


@pytest.mark.parametrize("how", ["reset", "half-close"])
async def test_a_client_that_leaves_while_its_body_waits_for_the_upstream(upstream, tap, how):
    go = asyncio.Event()

    async def stuck(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await go.wait()

    up = await upstream(None)
    up.take = stuck
    gate = await tap(up.url, parse_max_bytes=1024)
    _, writer = await gate.connect()
    writer.write(b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 90000000\r\n\r\n")
    (client,) = gate.core.clients
    async with asyncio.timeout(5):
        while not (client._paused and client._relay and client._relay._call._upstream):
            writer.write(bytes(100_000))
            await asyncio.sleep(0)
    leave(writer, how)
    completion = await gate.completion()
    assert (completion.outcome, completion.reason) == ("client_disconnected", "the client closed the connection")
    go.set()


async def test_half_a_request_is_no_exchange(upstream, tap, post):
    gate = await tap((await upstream(silent)).url)
    reader, writer = await gate.connect()
    writer.write(post(b'{"model":"m"}')[:-3])
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert gate.ids() == []
