"""What passes through a tap, byte for byte, how it ends, and what is recorded of it."""

import asyncio
import contextlib
import hashlib

import pytest

SSE = [
    b'data: {"id":"r1","model":"m-1","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n',
    b'data: {"id":"r1","model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"id":"r1","model":"m-1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n',
    b"data: [DONE]\n\n",
]
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
JSON = (
    b'{"id":"r2","model":"m-1","choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3}}'
)
JSON_HEAD = b"HTTP/1.1 200 Fine\r\ncontent-type: application/json\r\nx-request-id: q\r\ncontent-length: %d\r\n\r\n"
ASK = b'{"model":"m","stream":true}'


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


async def give_json(call, reader, writer):
    writer.write(JSON_HEAD % len(JSON) + JSON)


async def give_stream(call, reader, writer):
    writer.write(STREAM_HEAD)
    for event in SSE:
        writer.write(chunk(event))
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(b"0\r\n\r\n")


class Paced:
    """A stream whose next bytes are sent when the test says so."""

    def __init__(self, head=STREAM_HEAD):
        self.head, self.queue = head, asyncio.Queue()

    async def __call__(self, call, reader, writer):
        writer.write(self.head)
        while True:
            if reader.at_eof():
                raise ConnectionResetError
            wait = asyncio.ensure_future(self.queue.get())
            gone = asyncio.ensure_future(reader.read(1))
            done, _ = await asyncio.wait({wait, gone}, return_when=asyncio.FIRST_COMPLETED)
            if wait not in done:
                wait.cancel()
                raise ConnectionResetError
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            data = wait.result()
            if data is None:
                return
            writer.write(data)

    def say(self, *pieces):
        for piece in pieces:
            self.queue.put_nowait(piece)


def chunks_of(events, *, withheld=False, origin=None):
    return b"".join(
        event.body
        for event in events
        if event.kind == "chunk" and event.withheld == withheld and origin in (None, event.origin)
    )


async def read_chunk(reader):
    size = int(await asyncio.wait_for(reader.readuntil(b"\r\n"), 5), 16)
    data = await reader.readexactly(size)
    await reader.readexactly(2)
    return data


async def read_until(reader, end):
    """Body bytes of a chunked answer up to `end`."""
    got = b""
    while not got.endswith(end):
        got += await read_chunk(reader)
    return got


async def test_a_json_answer_passes_and_is_recorded(upstream, tap, post, answer):
    up = await upstream(give_json)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    body = b'{"model":"m","messages":[]}'
    writer.write(post(body, headers="authorization: Bearer sk-secret-1\r\n"))
    status, headers, got = await answer(reader)
    assert (status, got) == (200, JSON)
    assert headers["x-penstock-exchange-id"] == gate.ids()[0]
    assert headers["x-request-id"] == "q"
    completion = await gate.completion()
    assert completion.outcome == "completed"
    assert completion.usage == [{"prompt_tokens": 3}]
    assert completion.finish_reason == "stop"
    assert completion.response_sha256 == completion.client_sha256 == hashlib.sha256(JSON).hexdigest()
    assert completion.request_sha256 == hashlib.sha256(body).hexdigest()
    events = gate.events()
    assert [event.seq for event in events] == list(range(len(events)))
    kinds = [(event.kind, event.part, event.origin) for event in events]
    assert kinds == [
        ("prompt", 0, "client"),
        ("prompt", 1, "client"),
        ("chunk", 0, "upstream"),
        ("completion", 0, "tap"),
    ]
    assert events[1].body == body
    assert up.calls[0].header("authorization") == "Bearer sk-secret-1"
    assert b"sk-secret-1" not in b"".join(event.body for event in events)
    head = gate.head()
    assert (head.model, head.upstream, head.api, head.path) == ("m", "openai", "openai.chat", "/v1/chat/completions")


async def test_a_stream_passes_event_by_event(upstream, tap, post, answer):
    up = await upstream(give_stream)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write(post(ASK))
    status, headers, got = await answer(reader)
    assert (status, got) == (200, b"".join(SSE))
    assert headers["transfer-encoding"] == "chunked"
    completion = await gate.completion()
    assert (completion.outcome, completion.chunk_count, completion.finish_reason) == ("completed", 4, "stop")
    assert completion.usage == [{"prompt_tokens": 3, "completion_tokens": 1}]
    assert [event.body for event in gate.events() if event.kind == "chunk"] == SSE
    assert completion.ttft_us is not None


async def test_bytes_are_given_as_they_come(upstream, tap, post):
    paced = Paced()
    up = await upstream(paced)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write(post(ASK))
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    paced.say(chunk(b"data: ha"))
    assert await read_chunk(reader) == b"data: ha"
    paced.say(chunk(b"lf\n\n"), b"0\r\n\r\n", None)
    assert await read_chunk(reader) == b"lf\n\n"
    await gate.completion()
    assert chunks_of(gate.events()) == b"data: half\n\n"


async def test_a_client_that_leaves_ends_the_upstream_at_once(upstream, tap, post):
    paced = Paced()
    up = await upstream(paced)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write(post(ASK))
    paced.say(chunk(SSE[0]))
    await read_until(reader, SSE[0]) if await reader.readuntil(b"\r\n\r\n") else None
    writer.close()
    await asyncio.wait_for(up.lost.wait(), 5)
    completion = await gate.completion()
    assert (completion.outcome, completion.reason) == ("client_disconnected", "the client closed the connection")
    assert chunks_of(gate.events()) == SSE[0]
    assert completion.response_sha256 == hashlib.sha256(SSE[0]).hexdigest()


async def test_a_client_that_leaves_while_the_upstream_thinks(upstream, tap, post):
    async def think(call, reader, writer):
        await reader.read(1)
        raise ConnectionResetError

    up = await upstream(think)
    gate = await tap(up.url)
    _, writer = await gate.connect()
    writer.write(post(ASK))
    await asyncio.wait_for(up.called.wait(), 5)
    writer.close()
    await asyncio.wait_for(up.lost.wait(), 5)
    completion = await gate.completion()
    assert (completion.outcome, completion.status) == ("client_disconnected", 0)


@pytest.mark.parametrize("reset", [True, False])
async def test_an_upstream_that_breaks_off_is_no_clean_end(upstream, tap, post, reset):
    async def break_off(call, reader, writer):
        writer.write(STREAM_HEAD + chunk(SSE[0]))
        await writer.drain()
        await asyncio.sleep(0.02)
        if reset:
            writer.transport.abort()
        raise ConnectionResetError

    up = await upstream(break_off)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write(post(ASK))
    got = b""
    try:
        while data := await asyncio.wait_for(reader.read(1000), 5):
            got += data
    except ConnectionResetError:
        pass
    assert SSE[0] in got
    assert not got.endswith(b"0\r\n\r\n")
    completion = await gate.completion()
    assert completion.outcome == "upstream_error"
    assert "the upstream" in completion.reason
    assert chunks_of(gate.events()) == SSE[0]


async def test_a_short_body_is_no_clean_end(upstream, tap, post):
    async def short(call, reader, writer):
        writer.write(JSON_HEAD % 100 + b"{}")
        raise ConnectionResetError

    gate = await tap((await upstream(short)).url)
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await asyncio.wait_for(reader.readexactly(1000), 5)
    assert (await gate.completion()).outcome == "upstream_error"


async def test_a_refused_connection_is_a_502_in_the_providers_words(upstream, tap, post, answer):
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    gate = await tap(f"http://127.0.0.1:{port}")
    reader, writer = await gate.connect()
    for path, member in (
        ("/v1/chat/completions", b'"code": "upstream_unreachable"'),
        ("/v1/messages", b'"type": "error"'),
    ):
        writer.write(post(b"{}", path=path))
        status, headers, body = await answer(reader)
        assert status == 502
        assert member in body
        assert headers["x-penstock-exchange-id"] == gate.ids()[-1]
    completion = await gate.completion(2)
    assert (completion.outcome, completion.status) == ("upstream_error", 502)
    assert completion.reason == "upstream refused the connection"
    assert chunks_of(gate.events(), origin="tap") == body
    assert completion.client_bytes == len(body)
    assert completion.response_bytes == 0


async def test_a_silent_upstream_is_a_504(upstream, tap, post, answer):
    async def silent(call, reader, writer):
        await reader.read(1)

    gate = await tap((await upstream(silent)).url, timeouts={"first_byte_s": 0.1})
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    status, _, _ = await answer(reader)
    assert status == 504
    assert (await gate.completion()).reason == "upstream first byte timeout"


async def test_a_stream_that_stalls_is_cut_without_a_clean_end(upstream, tap, post):
    paced = Paced()
    gate = await tap((await upstream(paced)).url, timeouts={"idle_s": 0.1})
    reader, writer = await gate.connect()
    writer.write(post(ASK))
    paced.say(chunk(SSE[0]))
    got = b""
    try:
        while data := await asyncio.wait_for(reader.read(1000), 5):
            got += data
    except ConnectionResetError:
        pass
    assert not got.endswith(b"0\r\n\r\n")
    assert (await gate.completion()).reason == "upstream idle timeout"


async def test_an_upstreams_own_error_passes_unchanged(upstream, tap, post, answer):
    async def limit(call, reader, writer):
        writer.write(b'HTTP/1.1 429 Slow Down\r\nretry-after: 7\r\ncontent-length: 13\r\n\r\n{"error":"x"}')

    gate = await tap((await upstream(limit)).url)
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    status, headers, body = await answer(reader)
    assert (status, headers["retry-after"], body) == (429, "7", b'{"error":"x"}')
    completion = await gate.completion()
    assert (completion.outcome, completion.reason) == ("upstream_error", "upstream status 429")


async def test_a_connection_serves_requests_in_order_and_reuses_the_upstreams(upstream, tap, post, answer):
    up = await upstream(give_json)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    bodies = [b'{"n":%d}' % number for number in range(5)]
    writer.write(b"".join(post(body) for body in bodies))
    ids = [(await answer(reader))[1]["x-penstock-exchange-id"] for _ in bodies]
    assert [call.body for call in up.calls] == bodies
    assert up.connections == 1
    assert ids == gate.ids()
    assert len(set(ids)) == 5


async def test_without_an_upstream_the_answer_names_those_there_are(tap, post, answer):
    gate = await tap()
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    status, _, body = await answer(reader)
    assert status == 404
    assert b"none" in body
    assert (await gate.completion()).outcome == "tap_error"


async def test_a_safe_request_on_a_stale_connection_is_tried_again(upstream, tap, answer):
    async def once(call, reader, writer):
        if len(up.calls) == 2:
            raise ConnectionResetError
        writer.write(JSON_HEAD % len(JSON) + JSON)

    up = await upstream(once)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    for _ in range(2):
        writer.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await answer(reader))[0] == 200
    assert up.connections == 2
    assert len(gate.ids()) == 2


async def test_a_fault_of_our_own_is_recorded_and_seen(upstream, tap, post, monkeypatch):
    gate = await tap((await upstream(give_stream)).url)
    monkeypatch.setattr("penstock.gateway_tap.relay.Capture.answer", lambda *_, **__: 1 / 0)
    reader, writer = await gate.connect()
    writer.write(post(ASK))
    got = b""
    try:
        while data := await asyncio.wait_for(reader.read(1000), 5):
            got += data
    except ConnectionResetError:
        pass
    assert not got.endswith(b"0\r\n\r\n")
    assert (await gate.completion()).outcome == "tap_error"


async def test_a_fault_before_the_answer_is_a_500(upstream, tap, post, answer, monkeypatch):
    gate = await tap((await upstream(give_json)).url)
    monkeypatch.setattr("penstock.gateway_tap.relay.Capture.__init__", lambda *_, **__: 1 / 0)
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await answer(reader)


async def test_a_client_gets_nothing_that_could_not_be_recorded(upstream, tap, post):
    source = Paced()
    gateway = await tap((await upstream(source)).url)
    reader, writer = await gateway.connect()
    writer.write(post(ASK))
    source.say(chunk(SSE[0]))
    given = await asyncio.wait_for(reader.readuntil(SSE[0]), 5)
    publish = gateway.publisher.publish

    def refuse(partition, exchange_id, events):
        if any(b"unrecorded" in event for event in events):
            raise OSError("the journal failed")
        return publish(partition, exchange_id, events)

    gateway.publisher.publish = refuse
    source.say(chunk(b"data: unrecorded\n\n"))
    with contextlib.suppress(ConnectionResetError):
        given += await asyncio.wait_for(reader.read(), 5)
    assert b"unrecorded" not in given
    assert (await gateway.completion()).outcome == "tap_error"
