"""Clients that send or take as slowly as they can."""

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

POST = b"POST /v1/x HTTP/1.1\r\nhost: x\r\n"
SIZE = 100_000_000


async def fine(call, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


async def flood(call, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % SIZE)
    for _ in range(SIZE // 50_000):
        writer.write(bytes(50_000))
        await writer.drain()


def rss_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def trickle(writer, data, answered):
    """One byte after another, until somebody answers."""
    with contextlib.suppress(ConnectionError):
        for byte in data:
            if answered.done():
                return
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)


async def test_a_head_that_trickles_is_a_408(upstream, tap, answer):
    gate = await tap((await upstream(fine)).url, timeouts={"client_header_s": 0.2})
    reader, writer = await gate.connect()
    answered = asyncio.ensure_future(answer(reader))
    await trickle(writer, POST + b"x-slow: " + b"a" * 2000, answered)
    assert (await answered)[0] == 408
    assert (await gate.completion()).reason == "the request did not arrive in time"


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_that_trickles_is_a_408(upstream, tap, answer, chunked):
    up = await upstream(fine)
    gate = await tap(up.url, timeouts={"client_body_idle_s": 0.2, "client_min_bytes_per_s": 10_000})
    reader, writer = await gate.connect()
    writer.write(POST + (b"transfer-encoding: chunked\r\n\r\n" if chunked else b"content-length: 2000\r\n\r\n"))
    answered = asyncio.ensure_future(answer(reader))
    await trickle(writer, b"1\r\na\r\n" * 300 if chunked else bytes(2000), answered)
    assert (await answered)[0] == 408
    assert up.connections == 0


async def test_a_passing_body_that_trickles_ends_the_exchange(upstream, tap, answer):
    up = await upstream(fine)
    gate = await tap(
        up.url, parse_max_bytes=1024, timeouts={"client_body_idle_s": 0.2, "client_min_bytes_per_s": 10_000}
    )
    reader, writer = await gate.connect()
    writer.write(POST + b"content-length: 20000\r\n\r\n" + bytes(2000))
    gone = asyncio.ensure_future(reader.read())
    await trickle(writer, bytes(2000), gone)
    with contextlib.suppress(ConnectionError):
        await gone
    completion = await gate.completion()
    assert (completion.outcome, completion.reason) == ("client_disconnected", "the client stopped sending")
    await asyncio.wait_for(up.lost.wait(), 5)


async def test_a_body_that_waits_for_its_upstream_is_not_late(upstream, tap, answer):
    go = asyncio.Event()

    async def slow(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await go.wait()
        await reader.readexactly(size)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()

    size = 30_000_000
    up = await upstream(None)
    up.take = slow
    gate = await tap(up.url, timeouts={"client_body_idle_s": 0.1, "client_min_bytes_per_s": 1})
    reader, writer = await gate.connect()
    writer.write(POST + b"content-length: %d\r\n\r\n" % size)
    sending = asyncio.ensure_future(send(writer, size))
    await gate.first_event()
    await asyncio.sleep(0.4)
    assert not gate.completions()
    go.set()
    assert (await answer(reader))[0] == 200
    await sending


async def send(writer, size):
    for _ in range(size // 100_000):
        writer.write(bytes(100_000))
        await writer.drain()


async def test_memory_stays_flat_while_a_client_reads_slowly(upstream, tap, post):
    gate = await tap((await upstream(flood)).url, write_buffer_bytes=65_536)
    gate.publisher.publish = lambda *_: True
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    before_bytes, peak_bytes, unsent_bytes, got_bytes = rss_bytes(), 0, 0, 0
    (client,) = gate.core.clients
    while got_bytes < SIZE:
        got_bytes += len(await asyncio.wait_for(reader.readexactly(250_000), 5))
        await asyncio.sleep(0)
        peak_bytes = max(peak_bytes, rss_bytes())
        unsent_bytes = max(unsent_bytes, client._outlet.waiting_bytes)
    assert unsent_bytes < 65_536 + 262_144 + 1024, "one read beyond the bound, at most"
    assert peak_bytes - before_bytes < 20_000_000
    writer.close()


async def test_a_client_that_takes_nothing_is_cut_and_its_upstream_with_it(upstream, tap, post):
    up = await upstream(flood)
    gate = await tap(up.url, timeouts={"client_stall_s": 0.2})
    gate.publisher.publish, kept = lambda *_: True, gate.publisher.publish
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    gate.publisher.publish = kept
    await asyncio.wait_for(up.lost.wait(), 5)
    completion = await gate.completion()
    assert (completion.outcome, completion.reason) == ("client_disconnected", "the client stopped reading")


async def test_a_client_that_asks_on_while_it_takes_nothing_is_cut_too(upstream, tap, post):
    up = await upstream(flood)
    gate = await tap(up.url, timeouts={"client_stall_s": 0.3})
    gate.publisher.publish = lambda *_: True
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    with contextlib.suppress(ConnectionError):
        while not up.lost.is_set():
            writer.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)
    await asyncio.wait_for(up.lost.wait(), 5)


async def test_what_a_client_does_not_take_of_a_last_answer_ends_too(upstream, tap, post):
    async def large(call, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 20000000\r\n\r\n" + bytes(20_000_000))

    gate = await tap((await upstream(large)).url, write_buffer_bytes=30_000_000, timeouts={"client_stall_s": 0.2})
    reader, writer = await gate.connect()
    writer.write(post(b"{}", headers="connection: close\r\n"))
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    async with asyncio.timeout(5):
        while gate.core.clients:  # noqa: ASYNC110 - the tap has no event for it
            await asyncio.sleep(0.01)
    assert (await gate.completion()).outcome == "completed", "the tap had handed over all of it"
