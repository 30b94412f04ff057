"""A policy that asks providers for usage: what the upstream gets, what the client gets, and what the trail says."""

import asyncio
import hashlib
import json
from typing import Any

import openai
import pytest

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
POLICY = {"owner": {"name": "a", "contact": "b"}, "version": "1", "usage": {"ask_providers": True}}
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
CHOICE = {"index": 0, "delta": {"content": "hi"}, "finish_reason": None}
FIGURES = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
WORD = b"data: %b\n\n" % json.dumps({**CHUNK, "choices": [CHOICE], "usage": None}).encode()
USAGE = b"data: %b\n\n" % json.dumps({**CHUNK, "choices": [], "usage": FIGURES}).encode()
DONE = b"data: [DONE]\n\n"
ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "stream": True}


class Provider:
    """Sends its bytes in pieces of one size, with the usage only where it was asked for."""

    def __init__(self, size: int = 1 << 20, end: bool = True) -> None:
        self.size, self.end = size, end

    async def __call__(self, call: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = "stream_options" in json.loads(call.body)
        body = WORD + (USAGE if asked else b"") + (DONE if self.end else b"")
        writer.write(HEAD)
        for at in range(0, len(body), self.size):
            piece = body[at : at + self.size]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        if not self.end:
            await reader.read()
        writer.write(b"0\r\n\r\n")


def told(gate: Any, *, withheld: bool) -> bytes:
    return b"".join(event.body for event in gate.events() if event.kind == "chunk" and event.withheld == withheld)


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
async def test_usage_is_asked_for_and_withheld(upstream, tap, size):
    source = await upstream(Provider(size))
    gate = await tap(source.url, policy=POLICY)
    async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="sk-test-0123456789") as client:
        chunks = [chunk async for chunk in await client.chat.completions.create(**ASK)]
    assert [chunk.usage for chunk in chunks] == [None]
    completion = await gate.completion()
    assert completion.usage == [FIGURES]
    assert (completion.outcome, completion.chunk_count) == ("completed", 3)
    assert (told(gate, withheld=False), told(gate, withheld=True)) == (WORD + DONE, USAGE)
    assert completion.client_sha256 == hashlib.sha256(WORD + DONE).hexdigest()
    assert completion.client_bytes == len(WORD + DONE)
    assert completion.response_sha256 == hashlib.sha256(WORD + USAGE + DONE).hexdigest()
    assert gate.head().added == ["stream_options.include_usage"]
    call = source.calls[0]
    sent = json.loads(call.body)
    assert sent.pop("stream_options") == {"include_usage": True}
    assert sent == json.loads(b"".join(event.body for event in gate.events() if event.kind == "prompt" and event.part))
    assert call.header("accept-encoding") is None
    assert completion.request_bytes == len(call.body) - len(b'"stream_options":{"include_usage":true},')


async def test_a_client_that_asks_gets_it(upstream, tap):
    gate = await tap((await upstream(Provider())).url, policy=POLICY)
    async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="sk-test-0123456789") as client:
        stream = await client.chat.completions.create(**ASK, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].usage.total_tokens == 4
    await gate.completion()
    assert gate.head().added == []
    assert told(gate, withheld=True) == b""


async def test_without_the_policy_nothing_is_added(upstream, tap, post, answer):
    source = await upstream(Provider())
    gate = await tap(source.url)
    reader, writer = await gate.connect()
    body = json.dumps(ASK).encode()
    writer.write(post(body))
    assert (await answer(reader))[2] == WORD + DONE
    assert source.calls[0].body == body


async def test_audit_strict_holds_the_last_event_back(upstream, tap, post, answer):
    gate = await tap((await upstream(Provider(9))).url, policy=POLICY, mode="enforce", audit="strict")
    gate.publisher.hold()
    reader, writer = await gate.connect()
    writer.write(post(json.dumps(ASK).encode()))
    await gate.first_event()
    gate.publisher.release()
    assert (await answer(reader))[2] == WORD + DONE
    assert told(gate, withheld=True) == USAGE


@pytest.mark.parametrize("cut", [0, 20])
async def test_a_kill_ends_at_an_event_that_the_client_has(upstream, tap, post, cut):
    """What came of an event that the client has not is withheld, and the ending follows the last that it has."""
    gate = await tap((await upstream(Provider(len(WORD) + cut, end=False))).url, policy=POLICY, mode="enforce")
    reader, writer = await gate.connect()
    writer.write(post(json.dumps(ASK).encode()))
    given = await asyncio.wait_for(reader.readuntil(WORD), 5)
    async with asyncio.timeout(5):
        while len(told(gate, withheld=True)) < len(USAGE):  # noqa: ASYNC110 - the publisher under test has no event
            await asyncio.sleep(0.002)
    gate.order(scope=f"exchange:{gate.ids()[0]}")
    given += await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
    assert b"prompt_tokens" not in given
    assert b"used up" in given
    completion = await gate.completion()
    assert completion.outcome == "killed"
    assert completion.client_sha256 == hashlib.sha256(told(gate, withheld=False)).hexdigest()
