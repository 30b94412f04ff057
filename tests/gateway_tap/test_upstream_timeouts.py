"""Each limit on an upstream: what the client sees of it, what the trail says, and whose limit it is."""

import asyncio

import pytest

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b"data: {}\n\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


async def silent(call, reader, writer):
    await reader.read(1)


async def interim_for_ever(call, reader, writer):
    while not reader.at_eof():
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def head_for_ever(call, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nx: ")
    while not reader.at_eof():
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.01)


async def stalls(call, reader, writer):
    writer.write(STREAM + chunk(EVENT))
    await writer.drain()
    await reader.read(1)


async def events_for_ever(call, reader, writer):
    writer.write(STREAM)
    while not reader.at_eof():
        writer.write(chunk(EVENT))
        await writer.drain()
        await asyncio.sleep(0.01)


BEFORE = {
    "nothing comes": (silent, {"first_byte_s": 0.1}, "upstream first byte timeout"),
    "interim answers for ever": (interim_for_ever, {"first_byte_s": 0.2, "idle_s": 0.1}, "upstream first byte timeout"),
    "a head that trickles": (head_for_ever, {"first_byte_s": 0.2, "idle_s": 0.1}, "upstream first byte timeout"),
    "nothing comes in all": (silent, {"total_s": 0.1}, "upstream total timeout"),
}
AFTER = {
    "it stalls": (stalls, {"idle_s": 0.1}, "upstream idle timeout"),
    "it never ends": (events_for_ever, {"total_s": 0.2, "idle_s": 0.1}, "upstream total timeout"),
}


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("name", BEFORE)
async def test_a_limit_before_the_head_is_a_504(upstream, tap, post, answer, name, own):
    script, limits, reason = BEFORE[name]
    up = await upstream(script)
    gate = await (tap(up.url, each={"timeouts": limits}) if own else tap(up.url, timeouts=limits))
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    status, headers, body = await answer(reader)
    assert status == 504
    assert reason.encode() in body
    assert "connection" not in headers, "the client may ask again on the same connection"
    completion = await gate.completion()
    assert (completion.outcome, completion.reason, completion.attempts) == ("upstream_error", reason, 1)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("name", AFTER)
async def test_a_limit_after_the_head_breaks_the_answer_off(upstream, tap, post, name, own):
    script, limits, reason = AFTER[name]
    up = await upstream(script)
    gate = await (tap(up.url, each={"timeouts": limits}) if own else tap(up.url, timeouts=limits))
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    got = await asyncio.wait_for(reader.read(), 5)
    assert EVENT in got
    assert not got.endswith(b"0\r\n\r\n")
    completion = await gate.completion()
    assert (completion.outcome, completion.status, completion.reason) == ("upstream_error", 200, reason)
    assert completion.client_sha256 == completion.response_sha256


async def test_a_connection_that_is_not_made_in_time_is_a_504(tap, post, answer, monkeypatch):
    async def never(*_, **__):
        await asyncio.sleep(60)

    gate = await tap("http://127.0.0.1:1", each={"timeouts": {"connect_s": 0.05}})
    reader, writer = await gate.connect()
    monkeypatch.setattr(asyncio.get_running_loop().__class__, "create_connection", never, raising=False)
    writer.write(post(b"{}"))
    assert (await answer(reader))[0] == 504
    completion = await gate.completion()
    assert (completion.outcome, completion.reason) == ("upstream_error", "upstream connect timeout")


async def test_an_own_limit_is_for_its_upstream_alone(upstream, tap, post, answer):
    async def late(call, reader, writer):
        await asyncio.sleep(0.3)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    up = await upstream(late)
    gate = await tap(up.url, timeouts={"first_byte_s": 0.1})
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    assert (await answer(reader))[0] == 504
    patient = await tap(up.url, timeouts={"first_byte_s": 0.1}, each={"timeouts": {"first_byte_s": 5}})
    reader, writer = await patient.connect()
    writer.write(post(b"{}"))
    assert (await answer(reader))[0] == 200


async def test_a_client_that_takes_its_time_does_not_stop_the_total(upstream, tap, post):
    async def flood(call, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 500000000\r\n\r\n")
        while True:
            writer.write(bytes(65_536))
            await writer.drain()

    up = await upstream(flood)
    gate = await tap(up.url, timeouts={"total_s": 0.3, "idle_s": 0.1})
    gate.publisher.publish = keep_completions(gate)
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    completion = await gate.completion()
    assert completion.reason == "upstream total timeout"


def keep_completions(gate):
    """Keeps the bodies of an endless answer out of this test's memory."""
    publish = gate.publisher.publish

    def few(partition, exchange_id, events):
        return publish(partition, exchange_id, [event for event in events if len(event) < 10_000])

    return few
