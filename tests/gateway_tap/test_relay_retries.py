"""Asking an upstream again: off by default, never twice for a POST, and always on record."""

import asyncio
import socket

import pytest

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"
ALL = {"attempts": 3, "after": ["connect", "reset", "timeout", 503], "backoff_s": 0.01}


class Fails:
    """Fails `times` times in one way; is fine then."""

    def __init__(self, how, times):
        self.how, self.times = how, times

    async def __call__(self, call, reader, writer):
        self.times -= 1
        if self.times < 0:
            writer.write(OK)
        elif self.how == "status":
            writer.write(BUSY)
        elif self.how == "timeout":
            await reader.read(1)
            raise ConnectionResetError
        elif self.how == "broken":
            writer.write(OK[:-1])
            raise ConnectionResetError
        else:
            raise ConnectionResetError


WAYS = ["reset", "timeout", "status"]
REASONS = {
    "reset": "the upstream closed the connection",
    "timeout": "upstream first byte timeout",
    "status": "upstream status 503",
}


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("retries", [{}, {"attempts": 3}, ALL, {**ALL, "posts": "keyed"}])
async def test_a_post_is_not_sent_twice_unless_a_setting_says_so(upstream, tap, post, answer, how, retries):
    up = await upstream(Fails(how, 1))
    gate = await tap(up.url, timeouts={"first_byte_s": 0.1}, each={"retries": retries})
    reader, writer = await gate.connect()
    writer.write(post(b'{"n":1}'))
    assert (await answer(reader))[0] in (502, 503, 504)
    completion = await gate.completion()
    assert (completion.outcome, completion.attempts, completion.retried) == ("upstream_error", 1, [])
    writer.write(post(b'{"n":2}'))
    assert (await answer(reader))[0] == 200
    assert [call.body for call in up.calls] == [b'{"n":1}', b'{"n":2}']


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(
    ("posts", "headers", "method"),
    [("always", "", "POST"), ("keyed", "idempotency-key: 1\r\n", "POST"), ("unsent", "", "GET")],
)
async def test_what_may_be_asked_again_is(upstream, tap, answer, how, posts, headers, method):
    up = await upstream(Fails(how, 2))
    gate = await tap(up.url, timeouts={"first_byte_s": 0.1}, each={"retries": {**ALL, "posts": posts}})
    reader, writer = await gate.connect()
    writer.write(f"{method} /v1/x HTTP/1.1\r\nhost: x\r\n{headers}content-length: 2\r\n\r\n{{}}".encode())
    assert (await answer(reader))[0] == 200
    completion = await gate.completion()
    assert (completion.outcome, completion.attempts) == ("completed", 3)
    assert completion.retried == [REASONS[how]] * 2
    assert [call.body for call in up.calls] == [b"{}"] * 3
    assert len(gate.ids()) == 1
    assert b"".join(event.body for event in gate.events() if event.kind == "chunk") == b"{}"


async def test_attempts_end(upstream, tap, answer):
    up = await upstream(Fails("status", 9))
    gate = await tap(up.url, each={"retries": ALL})
    reader, writer = await gate.connect()
    writer.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
    status, _, body = await answer(reader)
    assert (status, body) == (503, b"busy"), "the last answer is the client's"
    completion = await gate.completion()
    assert (completion.attempts, completion.upstream_status, len(up.calls)) == (3, 503, 3)


async def test_nothing_is_asked_again_once_the_client_has_a_byte(upstream, tap, answer):
    up = await upstream(Fails("broken", 1))
    gate = await tap(up.url, each={"retries": {**ALL, "posts": "always"}})
    reader, writer = await gate.connect()
    writer.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
    with pytest.raises(asyncio.IncompleteReadError):
        await answer(reader)
    assert (await gate.completion()).attempts == 1
    assert len(up.calls) == 1


async def test_a_post_that_found_nobody_is_safe_to_repeat(upstream, tap, post, answer):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    gate = await tap(f"http://127.0.0.1:{port}", each={"retries": {"attempts": 8, "backoff_s": 0.05}})
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    await gate.first_event()

    async def serve(reader, writer):
        await reader.readuntil(b"{}")
        writer.write(OK)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    assert (await answer(reader))[0] == 200
    completion = await gate.completion()
    assert completion.attempts > 1
    assert set(completion.retried) == {"upstream refused the connection"}
    server.close()


async def test_a_passing_body_is_sent_once(upstream, tap, answer):
    async def take(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    up = await upstream(None)
    up.take = take
    gate = await tap(up.url, parse_max_bytes=1024, each={"retries": {**ALL, "posts": "always"}})
    reader, writer = await gate.connect()
    writer.write(b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\n" + bytes(3000))
    assert (await answer(reader))[0] == 502
    assert (await gate.completion()).attempts == up.connections == 1


@pytest.mark.parametrize("how", ["leaves", "is killed"])
async def test_a_pause_between_attempts_ends_with_the_exchange(upstream, tap, answer, how):
    up = await upstream(Fails("status", 9))
    gate = await tap(up.url, mode="enforce", each={"retries": {**ALL, "backoff_s": 60}})
    reader, writer = await gate.connect()
    writer.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
    await asyncio.wait_for(up.called.wait(), 5)
    async with asyncio.timeout(5):
        while not next(iter(gate.core.running.values())).exchange.retried:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.002)
    if how == "leaves":
        writer.close()
    else:
        gate.order(scope=f"exchange:{gate.ids()[0]}")
        assert (await answer(reader))[0] == 429
    completion = await gate.completion()
    assert completion.outcome == ("client_disconnected" if how == "leaves" else "killed")
    assert (completion.attempts, len(up.calls)) == (2, 1)
    assert not [task for task in asyncio.all_tasks() if "_connect" in repr(task.get_coro())]


async def test_the_time_in_all_counts_every_attempt(upstream, tap, answer):
    up = await upstream(Fails("status", 9))
    gate = await tap(up.url, timeouts={"total_s": 1}, each={"retries": {**ALL, "backoff_s": 2}})
    reader, writer = await gate.connect()
    writer.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await answer(reader))[0] == 503
    assert len(up.calls) == 1
