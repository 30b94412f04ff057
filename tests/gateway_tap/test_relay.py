"""What passes through a tap, byte for byte, and what is recorded of it."""

import asyncio
import hashlib

SSE = [
    b'data: {"id":"r1","model":"m-1","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n',
    b'data: {"id":"r1","model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"id":"r1","model":"m-1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}\n\n',
    b"data: [DONE]\n\n",
]
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
JSON = b'{"id":"r2","model":"m-1","choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3}}'


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


async def give_json(call, reader, writer):
    writer.write(
        b"HTTP/1.1 200 Fine\r\ncontent-type: application/json\r\nx-request-id: q\r\ncontent-length: %d\r\n\r\n"
        % len(JSON)
    )
    writer.write(JSON)


async def give_stream(call, reader, writer):
    writer.write(STREAM_HEAD)
    for event in SSE:
        writer.write(chunk(event))
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(b"0\r\n\r\n")


async def test_json_answer_passes_and_is_recorded(upstream, tap, post, answer):
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
    assert [(event.kind, event.part, event.origin) for event in events] == [
        ("prompt", 0, "client"),
        ("prompt", 1, "client"),
        ("chunk", 0, "upstream"),
        ("completion", 0, "tap"),
    ]
    assert events[1].body == body
    assert up.calls[0].header("authorization") == "Bearer sk-secret-1"
    assert b"sk-secret-1" not in b"".join(event.body for event in events)
    writer.close()


async def test_stream_passes_event_by_event(upstream, tap, post, answer):
    up = await upstream(give_stream)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write(post(b'{"model":"m","stream":true}'))
    status, headers, got = await answer(reader)
    assert (status, got) == (200, b"".join(SSE))
    assert headers["transfer-encoding"] == "chunked"
    completion = await gate.completion()
    assert (completion.outcome, completion.chunk_count, completion.finish_reason) == ("completed", 4, "stop")
    assert completion.usage == [{"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}]
    assert [event.body for event in gate.events() if event.kind == "chunk"] == SSE
    writer.close()
