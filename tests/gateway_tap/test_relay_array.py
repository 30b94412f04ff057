"""Gemini's stream as a JSON array: passed on byte for byte, recorded element by element, and ended as an array."""

import asyncio
import gzip
import hashlib
import json
import zlib

import pytest

from .test_relay import Paced, chunks_of, read_chunk

PATH = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=UTF-8\r\n%btransfer-encoding: chunked\r\n\r\n"
REASON = "the budget of team research is used up"
END = {
    "candidates": [{"content": {"parts": [{"text": "two"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6},
    "modelVersion": "gemini-2.5-flash-001",
    "responseId": "r1",
}
FIRST = json.dumps({"candidates": [{"content": {"parts": [{"text": 'o"]}, {ne\\'}]}}], "x_new": [1]}, indent=2).encode()
PIECES = [b"[" + FIRST, b"\n,\r\n" + json.dumps(END, indent=2).encode(), b"\n]"]
WHOLE = b"".join(PIECES) + b"\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


async def begin(upstream, tap, post, coding=b"", **options):
    source = Paced(HEAD % coding)
    up = await upstream(source)
    gate = await tap(up.url, dialect="gemini", mode="enforce", **options)
    reader, writer = await gate.connect()
    writer.write(post(b'{"contents":[]}', path=PATH))
    await asyncio.wait_for(up.called.wait(), 5)
    return gate, source, up, reader


async def head_of(reader):
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)


async def rest_of(reader):
    got = b""
    while size := int(await asyncio.wait_for(reader.readuntil(b"\r\n"), 5), 16):
        got += await reader.readexactly(size)
        await reader.readexactly(2)
    return got


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
async def test_it_passes_and_is_recorded_element_by_element(upstream, tap, post, size):
    gate, source, _, reader = await begin(upstream, tap, post)
    source.say(*(chunk(WHOLE[start : start + size]) for start in range(0, len(WHOLE), size)), b"0\r\n\r\n", None)
    await head_of(reader)
    assert await rest_of(reader) == WHOLE
    completion = await gate.completion()
    assert [event.body for event in gate.events() if event.kind == "chunk"] == [*PIECES, b"\n"]
    assert (completion.outcome, completion.finish_reason, completion.chunk_count) == ("completed", "STOP", 4)
    assert (completion.model, completion.response_id) == ("gemini-2.5-flash-001", "r1")
    assert completion.usage == [END["usageMetadata"]]
    assert completion.client_sha256 == hashlib.sha256(WHOLE).hexdigest()
    assert (gate.head().model, gate.head().stream) == ("gemini-2.5-flash", True)


@pytest.mark.parametrize(
    ("given", "elements"),
    [(b"[", 0), (PIECES[0], 1), (PIECES[0] + b"\n,\r\n", 1), (b"".join(PIECES[:2]), 2)],
    ids=["begun", "after an element", "after a comma", "after two"],
)
async def test_a_kill_leaves_an_array_that_ends_with_an_error(upstream, tap, post, given, elements):
    gate, source, up, reader = await begin(upstream, tap, post)
    source.say(chunk(given))
    await head_of(reader)
    got = await read_chunk(reader)
    gate.order(scope=f"exchange:{gate.ids()[0]}", limit_scope="team:research")
    got += await rest_of(reader)
    *said, last = json.loads(got)
    assert len(said) == elements
    assert (last["error"]["code"], last["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert last["error"]["message"] == REASON
    assert last["error"]["details"][0]["reason"] == "BUDGET_EXCEEDED"
    await asyncio.wait_for(up.lost.wait(), 5)
    completion = await gate.completion()
    assert completion.outcome == "killed"
    assert chunks_of(gate.events(), origin="upstream") == given
    assert completion.client_sha256 == hashlib.sha256(got).hexdigest()


async def test_a_kill_within_an_element_waits_for_its_end_and_withholds_what_follows(upstream, tap, post):
    gate, source, _, reader = await begin(upstream, tap, post)
    source.say(chunk(PIECES[0][:20]))
    await head_of(reader)
    got = await read_chunk(reader)
    gate.order(scope=f"exchange:{gate.ids()[0]}")
    source.say(chunk(WHOLE[20:]))
    got += await rest_of(reader)
    first, last = json.loads(got)
    assert first == json.loads(FIRST)
    assert last["error"]["message"] == REASON
    await gate.completion()
    assert chunks_of(gate.events(), origin="upstream") == PIECES[0]
    assert chunks_of(gate.events(), withheld=True) == WHOLE[len(PIECES[0]) :]


async def test_an_element_that_does_not_end_breaks_the_answer_off(upstream, tap, post):
    gate, source, _, reader = await begin(upstream, tap, post)
    source.say(chunk(PIECES[0][:20]))
    await head_of(reader)
    await read_chunk(reader)
    gate.order(scope=f"exchange:{gate.ids()[0]}")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
    completion = await gate.completion()
    assert completion.outcome == "killed"
    assert completion.client_bytes == 20


async def test_a_kill_after_the_end_of_the_array_says_nothing_more(upstream, tap, post):
    gate, source, _, reader = await begin(upstream, tap, post)
    source.say(chunk(WHOLE))
    await head_of(reader)
    got = await read_chunk(reader)
    gate.order(scope=f"exchange:{gate.ids()[0]}")
    got += await rest_of(reader)
    assert len(json.loads(got)) == 2
    assert (await gate.completion()).outcome == "killed"


async def test_an_encoded_array_is_read_and_ended_too(upstream, tap, post):
    gate, source, _, reader = await begin(upstream, tap, post, b"content-encoding: gzip\r\n")
    packer = zlib.compressobj(wbits=31)
    source.say(chunk(packer.compress(PIECES[0]) + packer.flush(zlib.Z_SYNC_FLUSH)))
    await head_of(reader)
    got = await read_chunk(reader)
    gate.order(scope=f"exchange:{gate.ids()[0]}")
    got += await rest_of(reader)
    first, last = json.loads(gzip.decompress(got))
    assert first == json.loads(FIRST)
    assert last["error"]["message"] == REASON
    assert (await gate.completion()).outcome == "killed"


async def test_an_encoded_array_tells_its_usage(upstream, tap, post):
    gate, source, _, reader = await begin(upstream, tap, post, b"content-encoding: gzip\r\n")
    source.say(chunk(gzip.compress(WHOLE)), b"0\r\n\r\n", None)
    await head_of(reader)
    await rest_of(reader)
    completion = await gate.completion()
    assert completion.usage == [END["usageMetadata"]]
    assert completion.outcome == "completed"


async def test_strict_holds_back_the_end_of_the_array(upstream, tap, post):
    gate, source, _, reader = await begin(upstream, tap, post, audit="strict")
    source.say(chunk(WHOLE), b"0\r\n\r\n", None)
    await head_of(reader)
    assert await read_chunk(reader) == b"".join(PIECES[:2])
    assert await rest_of(reader) == b"\n]\n"
    assert (await gate.completion()).outcome == "completed"


async def test_an_error_in_the_array_is_noted(upstream, tap, post):
    gate, source, _, reader = await begin(upstream, tap, post)
    trouble = b',{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}\n]'
    source.say(chunk(PIECES[0] + trouble), b"0\r\n\r\n", None)
    await head_of(reader)
    assert await rest_of(reader) == PIECES[0] + trouble
    completion = await gate.completion()
    assert (completion.outcome, completion.status) == ("upstream_error", 200)


async def test_an_answer_that_is_no_array_passes_all_the_same(upstream, tap, post):
    gate, source, _, reader = await begin(upstream, tap, post)
    odd = json.dumps(END).encode()
    source.say(chunk(odd), b"0\r\n\r\n", None)
    await head_of(reader)
    assert await rest_of(reader) == odd
    completion = await gate.completion()
    assert (completion.outcome, completion.usage) == ("completed", [END["usageMetadata"]])
    assert chunks_of(gate.events()) == odd
