"""Encoded bodies pass byte for byte, and are read on the side."""

import gzip
import json
import zlib

import brotli
import pytest
from backports import zstd

CODINGS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
    "gzip, br": lambda text: brotli.compress(gzip.compress(text)),
}
EVENTS = [
    b'data: {"id":"r1","model":"m-1","choices":[{"delta":{"content":"hi"},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n',
    b"data: [DONE]\n\n",
]
WHOLE = json.dumps({"id": "r1", "model": "m-1", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}).encode()


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("sse", [True, False], ids=["stream", "whole"])
async def test_an_encoded_answer_is_passed_on_and_understood(upstream, tap, post, answer, coding, sse):
    body = CODINGS[coding](b"".join(EVENTS) if sse else WHOLE)
    names = b"".join(b"content-encoding: %b\r\n" % name.strip().encode() for name in coding.split(","))

    async def give(call, reader, writer):
        kind = b"text/event-stream" if sse else b"application/json"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n%btransfer-encoding: chunked\r\n\r\n" % (kind, names))
        for start in range(0, len(body), 23):
            piece = body[start : start + 23]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    gate = await tap((await upstream(give)).url)
    reader, writer = await gate.connect()
    writer.write(post(b'{"model":"m-1"}'))
    _, _, given = await answer(reader)
    assert given == body
    completion = await gate.completion()
    assert b"".join(event.body for event in gate.events() if event.kind == "chunk") == body
    assert {event.coding for event in gate.events() if event.kind == "chunk"} == {coding}
    assert completion.content_encoding == coding
    assert completion.usage == [{"prompt_tokens": 3, "completion_tokens": 2}]
    assert (completion.model, completion.response_id) == ("m-1", "r1")
    if sse:
        assert (completion.chunk_count, completion.finish_reason) == (len(EVENTS), "stop")


@pytest.mark.parametrize("coding", CODINGS)
async def test_an_encoded_request_is_read_and_passed_on_as_it_came(upstream, tap, post, answer, coding):
    async def give(call, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")

    server = await upstream(give)
    gate = await tap(server.url)
    reader, writer = await gate.connect()
    body = CODINGS[coding](b'{"model":"m-7","stream":true}')
    writer.write(post(body, headers=f"content-encoding: {coding}\r\n"))
    await answer(reader)
    assert (gate.head().model, gate.head().stream) == ("m-7", True)
    assert server.calls[0].body == body
    assert b"".join(event.body for event in gate.events()[1:] if event.kind == "prompt") == body
