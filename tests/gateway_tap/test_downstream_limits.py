"""Bounds on what a client may send, and on how many may come."""

import asyncio

import pytest

HOST = b"host: x\r\n"


async def fine(call, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


LIMITS = {"header_max_bytes": 4096, "header_max_count": 20, "target_max_bytes": 1024}


@pytest.mark.parametrize(
    ("status", "head"),
    [
        (200, b"GET /v1/" + b"a" * 1020 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
        (414, b"GET /v1/" + b"a" * 1021 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
        (414, b"GET /v1/" + b"a" * 9000),
        (200, b"GET /v1/x HTTP/1.1\r\n" + HOST + b"x: 1\r\n" * 19 + b"\r\n"),
        (431, b"GET /v1/x HTTP/1.1\r\n" + HOST + b"x: 1\r\n" * 20 + b"\r\n"),
        (431, b"GET /v1/x HTTP/1.1\r\n" + HOST + b"x: 1\r\n" * 40),
        (431, b"GET /v1/x HTTP/1.1\r\n" + HOST + b"x: " + b"a" * 5000 + b"\r\n\r\n"),
        (431, b"GET /v1/x HTTP/1.1\r\n" + HOST + b"x: " + b"a" * 5000),
        (431, b"GET /v1/x HTTP/1.1\r\n" + HOST + b"a" * 5000),
    ],
)
@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_head_has_bounds(upstream, tap, answer, status, head, pieces):
    up = await upstream(fine)
    gate = await tap(up.url, **LIMITS)
    reader, writer = await gate.connect()
    for start in range(0, len(head), len(head) // pieces + 1):
        writer.write(head[start : start + len(head) // pieces + 1])
        await writer.drain()
        await asyncio.sleep(0)
    got, headers, _ = await answer(reader)
    assert got == status
    assert headers["x-penstock-exchange-id"] == gate.ids()[0]
    if status != 200:
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert up.connections == 0


async def test_a_large_body_behind_a_small_head_is_no_large_head(upstream, tap, post, answer):
    up = await upstream(fine)
    gate = await tap(up.url, **LIMITS)
    reader, writer = await gate.connect()
    for _ in range(3):
        writer.write(post(b"x" * 50_000))
        assert (await answer(reader))[0] == 200


async def test_one_connection_too_many_is_told_so(upstream, tap, post, answer):
    gate = await tap((await upstream(fine)).url, max_connections=2)
    one, two = await gate.connect(), await gate.connect()
    for reader, writer in (one, two):
        writer.write(post(b"{}"))
        assert (await answer(reader))[0] == 200
    reader, writer = await gate.connect()
    status, headers, body = await answer(reader)
    assert (status, headers["connection"], headers["retry-after"]) == (503, "close", "1")
    assert b"tap.max_connections" in body
    assert headers["x-penstock-exchange-id"] == gate.ids()[-1]
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    completion = await gate.completion(3)
    assert (completion.outcome, completion.status) == ("tap_error", 503)
    one[1].write(post(b"{}"))
    assert (await answer(one[0]))[0] == 200
    two[1].close()
    async with asyncio.timeout(5):
        while len(gate.core.clients) > 1:  # noqa: ASYNC110 - the tap has no event for it
            await asyncio.sleep(0.005)
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    assert (await answer(reader))[0] == 200


async def test_an_idle_connection_is_kept_for_its_time_alone(upstream, tap, post, answer):
    gate = await tap((await upstream(fine)).url, timeouts={"keep_alive_s": 0.1})
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    assert (await answer(reader))[0] == 200
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await asyncio.wait_for(reader.readexactly(1), 5)
    assert len(gate.ids()) == 1
