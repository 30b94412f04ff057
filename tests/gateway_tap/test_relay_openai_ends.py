"""OpenAI's SDK through the tap: ends that only some of its APIs know, and the same ends in audit strict."""

import asyncio
import json
from typing import Any

import openai
import pytest

from .test_relay_openai import CASES, REASON, STREAMED, Provider, begin, response, sse, told

streamed = pytest.mark.parametrize("name", STREAMED)
each = pytest.mark.parametrize("name", CASES)
WRONG = {"message": "overloaded", "type": "server_error", "param": None, "code": "server_error"}
TROUBLE = {
    "chat": sse({"error": WRONG})[0],
    "completions": sse({"error": WRONG})[0],
    "responses": b'event: error\ndata: {"type":"error","error":%b}\n\n' % json.dumps(WRONG).encode(),
}
FAILED = sse(
    {"type": "response.failed", "sequence_number": 2, "response": response("failed", error=WRONG)}, named=True
)[0]


class Waiting(Provider):
    """Answers nothing until its client has gone, or half a JSON answer where `half` says so."""

    half = False

    async def __call__(self, call: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        if self.half:
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            writer.write(head % len(self.case.whole) + self.case.whole[:20])
        await self._watch(reader)
        raise ConnectionResetError


async def asked(upstream: Any, tap: Any, name: str, *, half: bool = False) -> tuple[Any, Waiting, Any]:
    """A whole answer is asked for, and the upstream has the request."""
    provider = Waiting(CASES[name])
    provider.half = half
    source = await upstream(provider)
    gate = await tap(source.url, mode="enforce")

    async def ask() -> Any:
        async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="sk-test-0123456789") as client:
            return await CASES[name].ask(client, False)

    running = asyncio.ensure_future(ask())
    await asyncio.wait_for(source.called.wait(), 5)
    if half:
        async with asyncio.timeout(5):
            while not told(gate):  # noqa: ASYNC110 - the publisher under test has no event of its own
                await asyncio.sleep(0.002)
    return gate, provider, running


@each
async def test_a_kill_before_a_whole_answer_is_a_429_asked_once(upstream, tap, name):
    gate, provider, running = await asked(upstream, tap, name)
    gate.order(scope=f"exchange:{gate.ids()[0]}", limit_scope="team:research")
    with pytest.raises(openai.RateLimitError, match="used up"):
        await running
    await asyncio.wait_for(provider.gone.wait(), 5)
    assert ((await gate.completion()).outcome, provider.asked) == ("killed", 1)


@each
async def test_a_client_that_leaves_before_a_whole_answer_ends_the_upstream(upstream, tap, name):
    gate, provider, running = await asked(upstream, tap, name)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.wait_for(provider.gone.wait(), 5)
    assert (await gate.completion()).outcome == "client_disconnected"


@each
async def test_a_kill_within_a_whole_answer_breaks_it_off(upstream, tap, name):
    gate, provider, running = await asked(upstream, tap, name, half=True)
    gate.order(scope=f"exchange:{gate.ids()[0]}")
    gate.order(action="block", scope=f"key:{gate.head().identity.key_id}", rule="again")
    with pytest.raises((openai.APIConnectionError, openai.RateLimitError)):
        await running
    await asyncio.wait_for(provider.gone.wait(), 5)
    assert gate.completions()[0].outcome == "killed"
    assert provider.asked == 1


@streamed
async def test_an_upstreams_error_before_a_stream(upstream, tap, name):
    class Refusing(Provider):
        async def __call__(self, call: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            body = json.dumps({"error": WRONG}).encode()
            writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    gate = await tap((await upstream(Refusing(CASES[name]))).url)
    async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="k" * 20) as client:
        with pytest.raises(openai.BadRequestError, match="overloaded"):
            await CASES[name].ask(client, True)
    completion = await gate.completion()
    assert (completion.outcome, completion.upstream_status) == ("upstream_error", 400)


@streamed
async def test_an_error_within_a_stream_passes_and_is_noted(upstream, tap, name):
    gate, provider, client = await begin(upstream, tap, name)
    events = [*CASES[name].events[:2], TROUBLE[name]]
    provider.say(*events, end=True)
    async with client:
        stream = aiter(await CASES[name].ask(client, True))
        for _ in range(2):
            await anext(stream)
        with pytest.raises(openai.APIError, match="overloaded"):
            await anext(stream)
    assert (await gate.completion()).outcome == "upstream_error"
    assert told(gate) == b"".join(events)


async def test_a_response_that_failed_is_an_event_for_the_sdk_and_an_error_in_the_trail(upstream, tap):
    gate, provider, client = await begin(upstream, tap, "responses")
    provider.say(*CASES["responses"].events[:2], FAILED, end=True)
    async with client:
        events = [event async for event in await CASES["responses"].ask(client, True)]
    assert events[-1].response.error.message == "overloaded"
    completion = await gate.completion()
    assert (completion.outcome, completion.finish_reason) == ("upstream_error", "failed")


@streamed
async def test_audit_strict_gives_the_last_event_once_the_end_is_acknowledged(upstream, tap, name):
    case = CASES[name]
    provider = Provider(case)
    gate = await tap((await upstream(provider)).url, mode="enforce", audit="strict")
    last = len(case.events) - (2 if case.events[-1] == b"data: [DONE]\n\n" else 1)
    async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="k" * 20) as client:
        provider.say(*case.events[:last])
        stream = aiter(await case.ask(client, True))
        for _ in range(last):
            await anext(stream)
        gate.publisher.hold()
        provider.say(*case.events[last:], end=True)
        rest = asyncio.ensure_future(anext(stream))
        await gate.completion()
        if name == "responses":
            assert not (await asyncio.wait({rest}, timeout=0.05))[0]
        gate.publisher.release()
        await rest
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
    assert told(gate) == b"".join(case.events)


@streamed
async def test_a_kill_in_audit_strict_raises_with_the_reason(upstream, tap, name):
    provider = Provider(CASES[name])
    gate = await tap((await upstream(provider)).url, mode="enforce", audit="strict")
    provider.say(*CASES[name].events[:2])
    async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="k" * 20) as client:
        stream = aiter(await CASES[name].ask(client, True))
        for _ in range(2):
            await anext(stream)
        gate.order(scope=f"exchange:{gate.ids()[0]}")
        with pytest.raises(openai.APIError, match=REASON):
            await anext(stream)
    assert (await gate.completion()).outcome == "killed"


@pytest.mark.parametrize("form", ["base64", "float"])
async def test_a_batch_of_embeddings_in_both_forms(upstream, tap, form):
    vector: Any = "AACAPwAAAEA=" if form == "base64" else [1.0, 2.0]
    data = [{"object": "embedding", "index": place, "embedding": vector} for place in range(3)]
    usage = {"prompt_tokens": 6, "total_tokens": 6}
    body = json.dumps({"object": "list", "model": "m", "data": data, "usage": usage}).encode()

    async def answer(call: Any, reader: Any, writer: Any) -> None:
        assert json.loads(call.body)["encoding_format"] == form
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    gate = await tap((await upstream(answer)).url)
    async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="k" * 20) as client:
        found = await client.embeddings.create(
            model="text-embedding-3-small",
            input=["a", "b", "c"],
            encoding_format=form,  # type: ignore[arg-type]
        )
    assert len(found.data) == 3
    completion = await gate.completion()
    assert (completion.usage, gate.head().model) == ([usage], "text-embedding-3-small")
