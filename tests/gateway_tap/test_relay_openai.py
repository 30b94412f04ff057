"""OpenAI's SDK through the tap: each API, streamed and not, in each way that an exchange can end."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest

REASON = "the budget of team research is used up"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
MESSAGES = [{"role": "user", "content": "hi"}]
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def sse(*contents: Any, named: bool = False) -> list[bytes]:
    lines = [f"event: {content['type']}\n" if named else "" for content in contents]
    return [
        f"{line}data: {json.dumps({**content, 'x_new': {'deep': [1]}})}\n\n".encode()
        for line, content in zip(lines, contents, strict=True)
    ]


def delta(text: str) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [choice]}


def word(text: str) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "finish_reason": None, "logprobs": None}
    return {"id": "t1", "object": "text_completion", "created": 1, "model": "davinci-002", "choices": [choice]}


def response(status: str, **members: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-4o",
        "status": status,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **members,
    }


def said(number: int, text: str) -> dict[str, Any]:
    place = {"item_id": "m1", "output_index": 0, "content_index": 0, "logprobs": []}
    return {"type": "response.output_text.delta", "sequence_number": number, "delta": text, **place}


class Case:
    """One API: how the SDK asks, and what its provider answers."""

    def __init__(
        self,
        ask: Callable[[openai.AsyncOpenAI, bool], Awaitable[Any]],
        events: list[bytes],
        whole: dict[str, Any],
        api: str,
    ) -> None:
        self.ask, self.events, self.api = ask, events, api
        self.whole = json.dumps({**whole, "x_new": [{"a": None}]}).encode()


CASES = {
    "chat": Case(
        lambda client, stream: client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=stream),  # type: ignore[call-overload]
        [*sse(delta("one"), delta("two"), {**delta(""), "choices": [], "usage": USAGE}), b"data: [DONE]\n\n"],
        {**delta(""), "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}}], "usage": USAGE},
        "openai.chat",
    ),
    "completions": Case(
        lambda client, stream: client.completions.create(model="davinci-002", prompt="hi", stream=stream),
        [*sse(word("one"), word("two"), {**word(""), "choices": [], "usage": USAGE}), b"data: [DONE]\n\n"],
        {**word("x"), "usage": USAGE},
        "openai.completions",
    ),
    "responses": Case(
        lambda client, stream: client.responses.create(
            model="gpt-4o", input="hi", previous_response_id="resp_0", stream=stream
        ),
        sse(
            {"type": "response.created", "sequence_number": 0, "response": response("in_progress")},
            said(1, "one"),
            {
                "type": "response.completed",
                "sequence_number": 2,
                "response": response(
                    "completed",
                    usage={
                        "input_tokens": 3,
                        "output_tokens": 2,
                        "total_tokens": 5,
                        "input_tokens_details": {"cached_tokens": 0},
                        "output_tokens_details": {"reasoning_tokens": 0},
                    },
                ),
            },
            named=True,
        ),
        response("completed", usage={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}),
        "openai.responses",
    ),
    "embeddings": Case(
        lambda client, stream: client.embeddings.create(model="text-embedding-3-small", input=["a", "b"]),
        [],
        {
            "object": "list",
            "model": "m",
            "data": [{"object": "embedding", "index": 0, "embedding": "AACAPw=="}],
            "usage": {"prompt_tokens": 2, "total_tokens": 2},
        },
        "embeddings",
    ),
}
STREAMED = [name for name, case in CASES.items() if case.events]
each = pytest.mark.parametrize("name", CASES)
streamed = pytest.mark.parametrize("name", STREAMED)


class Provider:
    """A provider whose events come when the test says so; `gone` is set once its client has hung up."""

    def __init__(self, case: Case, status: bytes = b"200 OK") -> None:
        self.case, self.status = case, status
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.asked = 0

    async def __call__(self, call: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        if not json.loads(call.body).get("stream"):
            head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            writer.write(head % (self.status, len(self.case.whole)) + self.case.whole)
            return
        writer.write(HEAD)
        watch = asyncio.create_task(self._watch(reader))
        while (data := await self.queue.get()) is not None:
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        if self.gone.is_set():
            raise ConnectionResetError
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        writer.write(b"0\r\n\r\n")

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        await reader.read(1)
        self.gone.set()
        self.queue.put_nowait(None)

    def say(self, *events: bytes, end: bool = False) -> None:
        for event in events:
            self.queue.put_nowait(event)
        if end:
            self.queue.put_nowait(None)


async def begin(upstream: Any, tap: Any, name: str, **options: Any) -> tuple[Any, Provider, openai.AsyncOpenAI]:
    provider = Provider(CASES[name], **options)
    gate = await tap((await upstream(provider)).url, mode="enforce")
    return gate, provider, openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="sk-test-0123456789")


def told(gate: Any, *, withheld: bool = False) -> bytes:
    chunks = [event for event in gate.events() if event.kind == "chunk" and event.origin == "upstream"]
    return b"".join(event.body for event in chunks if withheld or not event.withheld)


@each
async def test_a_whole_answer_is_recorded_byte_for_byte(upstream, tap, name):
    gate, _, client = await begin(upstream, tap, name)
    async with client:
        answer = await CASES[name].ask(client, False)
    assert answer.usage.total_tokens in (2, 5)
    completion = await gate.completion()
    assert (completion.outcome, gate.head().api) == ("completed", CASES[name].api)
    assert told(gate) == CASES[name].whole
    assert completion.client_sha256 == hashlib.sha256(CASES[name].whole).hexdigest()
    assert len(completion.usage) == 1


@streamed
async def test_a_stream_is_recorded_byte_for_byte(upstream, tap, name):
    gate, provider, client = await begin(upstream, tap, name)
    case = CASES[name]
    provider.say(*case.events, end=True)
    async with client:
        count = len([event async for event in await case.ask(client, True)])
    assert count == len(case.events) - (case.events[-1] == b"data: [DONE]\n\n")
    completion = await gate.completion()
    assert (completion.outcome, completion.chunk_count) == ("completed", len(case.events))
    assert told(gate) == b"".join(case.events)
    assert completion.client_sha256 == hashlib.sha256(b"".join(case.events)).hexdigest()
    assert len(completion.usage) == 1


@streamed
async def test_a_killed_stream_raises_with_the_reason(upstream, tap, name):
    gate, provider, client = await begin(upstream, tap, name)
    provider.say(*CASES[name].events[:2])
    async with client:
        stream = aiter(await CASES[name].ask(client, True))
        for _ in range(2):
            await anext(stream)
        gate.order(scope=f"exchange:{gate.ids()[0]}", limit_scope="team:research")
        with pytest.raises(openai.APIError) as raised:
            await anext(stream)
    assert REASON in raised.value.message
    assert raised.value.code == "budget_exceeded"
    await asyncio.wait_for(provider.gone.wait(), 5)
    assert (await gate.completion()).outcome == "killed"
    assert told(gate) == b"".join(CASES[name].events[:2])


@each
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_blocked_request_raises_after_one_attempt(upstream, tap, name, stream):
    gate, provider, client = await begin(upstream, tap, name)
    gate.order(action="block", scope=f"model:{model_of(name)}", rule="r")
    async with client:
        with pytest.raises(openai.RateLimitError, match="used up"):
            await CASES[name].ask(client, stream)
    assert provider.asked == 0
    assert len(gate.ids()) == 1
    assert (await gate.completion()).outcome == "blocked"


@streamed
async def test_a_client_that_leaves_ends_the_upstream(upstream, tap, name):
    gate, provider, client = await begin(upstream, tap, name)
    provider.say(*CASES[name].events[:1])
    async with client:
        stream = await CASES[name].ask(client, True)
        await anext(aiter(stream))
        await stream.close()
        await asyncio.wait_for(provider.gone.wait(), 5)
    assert (await gate.completion()).outcome == "client_disconnected"
    assert told(gate) == CASES[name].events[0]


@each
async def test_an_upstreams_error_passes_through(upstream, tap, name):
    gate, _, client = await begin(upstream, tap, name, status=b"400 Bad Request")
    async with client:
        with pytest.raises(openai.BadRequestError):
            await CASES[name].ask(client, False)
    completion = await gate.completion()
    assert (completion.outcome, completion.status) == ("upstream_error", 400)
    assert told(gate) == CASES[name].whole


@streamed
async def test_an_upstream_that_breaks_off_is_no_clean_end(upstream, tap, name):
    gate, provider, client = await begin(upstream, tap, name)
    provider.say(*CASES[name].events[:1])
    async with client:
        stream = aiter(await CASES[name].ask(client, True))
        await anext(stream)
        provider.gone.set()
        provider.queue.put_nowait(None)
        with pytest.raises(Exception, match=r"(?i)peer closed|incomplete|connection"):
            await anext(stream)
    assert (await gate.completion()).outcome == "upstream_error"


def model_of(name: str) -> str:
    return {"completions": "davinci-002", "embeddings": "text-embedding-3-small"}.get(name, "gpt-4o")
