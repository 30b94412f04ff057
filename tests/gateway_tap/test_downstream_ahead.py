"""Requests that are sent before the one in front of them is answered: in order, within bounds, each by itself."""

import asyncio
import contextlib

import pytest

from penstock.gateway_tap.downstream import AHEAD_MAX
from penstock.gateway_tap.relay import Relay

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"id":"r1","model":"m-1","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
DONE = b"data: [DONE]\n\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


class Gated:
    """Streams an event, and the rest once `go` is set, for each request."""

    def __init__(self):
        self.go = asyncio.Event()

    async def __call__(self, call, reader, writer):
        writer.write(HEAD + chunk(EVENT))
        await writer.drain()
        wait = asyncio.ensure_future(self.go.wait())
        gone = asyncio.ensure_future(reader.read(1))
        await asyncio.wait({wait, gone}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            raise ConnectionResetError
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        writer.write(chunk(DONE) + b"0\r\n\r\n")


async def test_many_requests_are_answered_in_their_order(upstream, tap, post, answer):
    script = Gated()
    up = await upstream(script)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    bodies = [b'{"n":%d}' % number for number in range(AHEAD_MAX * 3)]
    writer.write(b"".join(post(body) for body in bodies))
    await asyncio.wait_for(up.called.wait(), 5)
    assert len(up.calls) == 1, "the second waits for the first"
    script.go.set()
    ids = [(await answer(reader))[1]["x-penstock-exchange-id"] for _ in bodies]
    assert [call.body for call in up.calls] == bodies
    assert ids == gate.ids()


async def test_what_is_read_ahead_is_bounded(upstream, tap, post, answer):
    script = Gated()
    up = await upstream(script)
    gate = await tap(up.url, parse_max_bytes=500_000)
    reader, writer = await gate.connect()
    bodies = [b'{"n":"%b"}' % (b"%06d" % number * 50_000) for number in range(200)]
    sending = asyncio.ensure_future(send(writer, [post(body) for body in bodies]))
    await asyncio.wait_for(up.called.wait(), 5)
    (client,) = gate.core.clients
    async with asyncio.timeout(5):
        while not client._paused:  # noqa: ASYNC110 - the tap has no event for it
            await asyncio.sleep(0.005)
    assert sum(request.body_bytes for request in client._queue) < 500_000 + 2 * 300_000 + 262_144
    script.go.set()
    for _ in bodies:
        assert (await answer(reader))[0] == 200
        assert client._ahead_bytes < 500_000 + 300_000 + 262_144
    assert [call.body for call in up.calls] == bodies
    assert client._ahead_bytes == 0
    await sending


async def test_one_large_request_ahead_is_not_gathered(upstream, tap, post, answer):
    script = Gated()
    up = await upstream(script)
    gate = await tap(up.url, parse_max_bytes=500_000)
    gate.publisher.publish = lambda *_: True
    reader, writer = await gate.connect()
    sending = asyncio.ensure_future(send(writer, [post(b"{}"), post(bytes(20_000_000))]))
    await asyncio.wait_for(up.called.wait(), 5)
    (client,) = gate.core.clients
    async with asyncio.timeout(5):
        while not client._paused:  # noqa: ASYNC110 - the tap has no event for it
            await asyncio.sleep(0.005)
    assert client._ahead_bytes < 500_000 + 262_144
    script.go.set()
    assert (await answer(reader))[0] == 200
    assert (await answer(reader))[0] == 200
    assert len(up.calls[1].body) == 20_000_000
    await sending


async def test_the_number_of_requests_ahead_is_bounded(upstream, tap, post):
    up = await upstream(Gated())
    gate = await tap(up.url)
    _, writer = await gate.connect()
    small = b"GET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n"
    sending = asyncio.ensure_future(send(writer, [post(b"{}"), *[small * 1000] * 200]))
    await asyncio.wait_for(up.called.wait(), 5)
    (client,) = gate.core.clients
    async with asyncio.timeout(5):
        while not client._paused:  # noqa: ASYNC110 - the tap has no event for it
            await asyncio.sleep(0.005)
    assert AHEAD_MAX < len(client._queue) < AHEAD_MAX + 262_144 // len(small) + 1
    sending.cancel()


async def send(writer, requests):
    for request in requests:
        writer.write(request)
        await writer.drain()


@pytest.mark.parametrize("scope", ["exchange", "model"])
async def test_the_second_may_be_killed_while_the_first_is_whole(upstream, tap, post, answer, scope):
    script = Gated()
    up = await upstream(script)
    gate = await tap(up.url, mode="enforce")
    reader, writer = await gate.connect()
    writer.write(post(b'{"model":"a","stream":true}') + post(b'{"model":"b","stream":true}'))
    await asyncio.wait_for(reader.readuntil(EVENT), 5)
    if scope == "model":
        gate.order(action="block", scope="model:b")
        script.go.set()
        assert DONE in await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 5)
        assert (await answer(reader))[0] == 429
        assert len(up.calls) == 1
    else:
        script.go.set()
        assert DONE in await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 5)
        script.go.clear()
        await asyncio.wait_for(reader.readuntil(EVENT), 5)
        gate.order(scope=f"exchange:{gate.ids()[1]}")
        assert b"budget of team research" in await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 5)
    await gate.completion(2)
    first, second = gate.completions()
    assert (first.outcome, second.outcome) == ("completed", "blocked" if scope == "model" else "killed")


async def test_a_second_that_stalls_does_not_end_the_first(upstream, tap, post, answer):
    script = Gated()
    gate = await tap((await upstream(script)).url, timeouts={"client_body_idle_s": 0.1, "client_header_s": 0.1})
    reader, writer = await gate.connect()
    second = post(b'{"model":"b"}')
    writer.write(post(b'{"model":"a"}') + second[:-3])
    await asyncio.wait_for(reader.readuntil(EVENT), 5)
    await asyncio.sleep(0.3)
    assert not gate.completions()
    script.go.set()
    await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 5)
    writer.write(second[-3:])
    assert (await answer(reader))[0] == 200


@pytest.mark.parametrize("cut", [-3, 20])
async def test_a_second_that_stalls_in_its_own_turn_is_a_408(upstream, tap, post, answer, cut):
    script = Gated()
    script.go.set()
    gate = await tap((await upstream(script)).url, timeouts={"client_body_idle_s": 0.1, "client_header_s": 0.1})
    reader, writer = await gate.connect()
    writer.write(post(b'{"model":"a"}') + post(b'{"model":"b"}')[:cut])
    assert (await answer(reader))[0] == 200
    assert (await answer(reader))[0] == 408
    assert [completion.outcome for completion in gate.completions()] == ["completed", "tap_error"]


async def test_a_fault_in_the_second_ends_its_client_and_nobody_else(upstream, tap, post, answer, monkeypatch):
    script = Gated()
    script.go.set()
    gate = await tap((await upstream(script)).url)
    reader, writer = await gate.connect()
    other_reader, other_writer = await gate.connect()
    started = []

    def start(relay):
        started.append(relay)
        if len(started) == 2:
            raise ZeroDivisionError
        return begin(relay)

    begin = Relay.start
    monkeypatch.setattr(Relay, "start", start)
    writer.write(post(b'{"model":"a"}') + post(b'{"model":"b"}'))
    assert (await answer(reader))[0] == 200
    await gate.completion(2)
    assert [completion.outcome for completion in gate.completions()] == ["completed", "tap_error"]
    with contextlib.suppress(ConnectionResetError):
        assert b" 200 " not in await asyncio.wait_for(reader.read(), 5)
    other_writer.write(post(b"{}"))
    assert (await answer(other_reader))[0] == 200
