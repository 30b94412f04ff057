"""What the SDKs of Google, Anthropic and Azure ask, and what their providers answer: cases for tests of every API."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai
from google import genai
from google.genai import errors, types

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
MODELS = {"gemini": "gemini-2.5-flash", "anthropic": "claude-sonnet-4-6", "azure": "gpt-4o"}
ASK: list[Any] = [{"role": "user", "content": "hi"}]
Texts = Callable[[str], AbstractAsyncContextManager[AsyncIterator[str]]]
"""Opens a stream through the tap at a URL; gives the texts that come."""
Whole = Callable[[str], Awaitable[Any]]


@dataclass
class Case:
    """One API of one provider. `cut` events give the first text, and an error of the provider's own is `trouble`."""

    dialect: str
    api: str
    model: str
    events: list[bytes]
    cut: int
    whole: bytes
    texts: Texts | None
    ask: Whole
    killed: type[Exception]
    blocked: type[Exception]
    trouble: bytes = b""
    usage: int = 1


@dataclass
class Provider:
    """A provider whose events come when the test says so; `gone` is set once its client has hung up."""

    case: Case
    status: bytes = b"200 OK"
    queue: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)

    async def __call__(self, call: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(call.line.split()[1])
        if b'"stream": true' not in call.body.replace(b'":true', b'": true') and "stream" not in call.line:
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
        self.break_off()

    def break_off(self) -> None:
        """Ends the connection in the middle."""
        self.gone.set()
        self.queue.put_nowait(None)

    def say(self, *events: bytes, end: bool = False) -> None:
        for event in events:
            self.queue.put_nowait(event)
        if end:
            self.queue.put_nowait(None)


def line(content: Any, name: str = "", end: str = "\n\n") -> bytes:
    """One event, with a member that no SDK knows."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps({**content, 'x_new': {'deep': [1]}})}{end}".encode()


# ── Google ──


def candidate(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, "index": 0, **more}]}


GOOGLE_END = {
    **candidate({"text": "two"}, finishReason="STOP"),
    "usageMetadata": {
        "promptTokenCount": 5,
        "candidatesTokenCount": 2,
        "thoughtsTokenCount": 7,
        "totalTokenCount": 14,
    },
    "modelVersion": "gemini-2.5-flash",
    "responseId": "r1",
}
GOOGLE_CALL = {"functionCall": {"name": "get_weather", "args": {"place": "Ulm"}}, "thoughtSignature": "c2ln"}
GOOGLE_EVENTS = [
    line(candidate({"text": "hm", "thought": True}), end="\r\n\r\n"),
    line(candidate({"text": "one"}), end="\r\n\r\n"),
    line(candidate(GOOGLE_CALL, {"x_part": {"a": 1}}), end="\r\n\r\n"),
    line(GOOGLE_END, end="\r\n\r\n"),
]
UNAVAILABLE = line({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}, end="\r\n\r\n")


def google(url: str, vertex: bool) -> genai.Client:
    options = types.HttpOptions(base_url=url)
    return genai.Client(vertexai=vertex, api_key="AIza-test-0123456789", http_options=options)


def google_texts(vertex: bool) -> Texts:
    @asynccontextmanager
    async def texts(url: str) -> AsyncIterator[AsyncIterator[str]]:
        async def read() -> AsyncIterator[str]:
            stream = await client.models.generate_content_stream(model=MODELS["gemini"], contents="hi")
            async for chunk in stream:
                for part in chunk.parts or ():
                    if part.text and not part.thought:
                        yield part.text

        async with google(url, vertex).aio as client:
            reading = read()
            try:
                yield reading
            finally:
                await reading.aclose()

    return texts


def google_ask(vertex: bool) -> Whole:
    async def ask(url: str) -> Any:
        async with google(url, vertex).aio as client:
            return await client.models.generate_content(model=MODELS["gemini"], contents="hi")

    return ask


async def google_count(url: str) -> Any:
    async with google(url, False).aio as client:
        return await client.models.count_tokens(model=MODELS["gemini"], contents="hi")


async def google_embed(url: str) -> Any:
    async with google(url, False).aio as client:
        return await client.models.embed_content(model=MODELS["gemini"], contents=["a", "b"])


def google_case(api: str, ask: Whole, whole: Any, texts: Texts | None = None, usage: int = 0) -> Case:
    return Case(
        dialect="gemini",
        api=api,
        model=MODELS["gemini"],
        events=GOOGLE_EVENTS if texts else [],
        cut=2,
        whole=json.dumps({**whole, "x_new": [{"a": None}]}).encode(),
        texts=texts,
        ask=ask,
        killed=errors.ClientError,
        blocked=errors.ClientError,
        trouble=UNAVAILABLE,
        usage=usage,
    )


# ── Anthropic ──


def named(kind: str, **members: Any) -> bytes:
    return line({"type": kind, **members}, kind)


def block(index: int, start: Any, *deltas: Any) -> list[bytes]:
    changes = [named("content_block_delta", index=index, delta=delta) for delta in deltas]
    return [
        named("content_block_start", index=index, content_block=start),
        *changes,
        named("content_block_stop", index=index),
    ]


MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-6", "content": []}
CACHE = {"cache_creation_input_tokens": 30, "cache_read_input_tokens": 200}
CITED = {"type": "web_search_result_location", "url": "https://example.org", "cited_text": "x", "encrypted_index": "e"}
RESULT = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []}
ANTHROPIC_EVENTS = [
    named("message_start", message={**MESSAGE, "usage": {"input_tokens": 9, "output_tokens": 1, **CACHE}}),
    named("ping"),
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "hm"},
        {"type": "signature_delta", "signature": "c2lnbmVk"},
    ),
    *block(1, {"type": "redacted_thinking", "data": "b3BhcXVl"}),
    *block(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "one"}),
    *block(
        3,
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"query": "Ulm"}'},
    ),
    *block(4, RESULT),
    named("x_future_event", what={"ever": 1}),
    *block(
        5,
        {"type": "text", "text": ""},
        {"type": "citations_delta", "citation": CITED},
        {"type": "text_delta", "text": "two"},
    ),
    *block(
        6,
        {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"place": "U'},
        {"type": "input_json_delta", "partial_json": 'lm"}'},
    ),
    named("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 40}),
    named("message_stop"),
]
OVERLOADED = named("error", error={"type": "overloaded_error", "message": "overloaded"})


def claude(url: str) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=url, api_key="sk-ant-test-0123456789")


@asynccontextmanager
async def anthropic_texts(url: str) -> AsyncIterator[AsyncIterator[str]]:
    model = MODELS["anthropic"]
    async with (
        claude(url) as client,
        client.messages.stream(model=model, max_tokens=99, messages=ASK) as stream,
    ):
        yield aiter(stream.text_stream)


async def anthropic_ask(url: str) -> Any:
    async with claude(url) as client:
        return await client.messages.create(model=MODELS["anthropic"], max_tokens=99, messages=ASK)


async def anthropic_count(url: str) -> Any:
    async with claude(url) as client:
        return await client.messages.count_tokens(model=MODELS["anthropic"], messages=ASK)


def anthropic_case(api: str, ask: Whole, whole: Any, texts: Texts | None = None, usage: int = 0) -> Case:
    return Case(
        dialect="anthropic",
        api=api,
        model=MODELS["anthropic"],
        events=ANTHROPIC_EVENTS if texts else [],
        cut=10,
        whole=json.dumps({**whole, "x_new": [{"a": None}]}).encode(),
        texts=texts,
        ask=ask,
        killed=anthropic.APIStatusError,
        blocked=anthropic.RateLimitError,
        trouble=OVERLOADED,
        usage=usage,
    )


# ── Azure ──

FILTERS = {"hate": {"filtered": False, "severity": "safe"}}
CHUNK = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-2024-11-20"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def delta(text: str, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None, "content_filter_results": FILTERS}
    return {**CHUNK, "choices": [{**choice, **more}]}


AZURE_EVENTS = [
    line({**CHUNK, "choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTERS}]}),
    line(delta("one")),
    line(delta("two", finish_reason="stop")),
    line({**CHUNK, "choices": [], "usage": USAGE}),
    b"data: [DONE]\n\n",
]
AZURE_ERROR = line({"error": {"code": "429", "message": "overloaded"}})


def azure(url: str) -> openai.AsyncAzureOpenAI:
    """The upstream is named: a path that begins with `/openai/` would mean the upstream of that name."""
    return openai.AsyncAzureOpenAI(
        azure_endpoint=f"{url}/openai", api_key="azure-test-0123456789", api_version="2024-10-21"
    )


def azure_v1(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/openai/openai/v1", api_key="azure-test-0123456789")


def azure_texts(make: Callable[[str], openai.AsyncOpenAI]) -> Texts:
    @asynccontextmanager
    async def texts(url: str) -> AsyncIterator[AsyncIterator[str]]:
        async def read() -> AsyncIterator[str]:
            stream = await client.chat.completions.create(model=MODELS["azure"], messages=ASK, stream=True)
            async with stream:
                async for chunk in stream:
                    if chunk.choices and chunk.choices[0].delta.content:
                        yield chunk.choices[0].delta.content

        async with make(url) as client:
            reading = read()
            try:
                yield reading
            finally:
                await reading.aclose()

    return texts


def azure_ask(make: Callable[[str], openai.AsyncOpenAI]) -> Whole:
    async def ask(url: str) -> Any:
        async with make(url) as client:
            return await client.chat.completions.create(model=MODELS["azure"], messages=ASK)

    return ask


def azure_case(make: Callable[[str], openai.AsyncOpenAI]) -> Case:
    message = {"index": 0, "message": {"role": "assistant", "content": "x"}, "content_filter_results": FILTERS}
    whole = {**CHUNK, "object": "chat.completion", "choices": [message], "usage": USAGE, "prompt_filter_results": []}
    return Case(
        dialect="openai",
        api="openai.chat",
        model=MODELS["azure"],
        events=AZURE_EVENTS,
        cut=2,
        whole=json.dumps(whole).encode(),
        texts=azure_texts(make),
        ask=azure_ask(make),
        killed=openai.APIError,
        blocked=openai.RateLimitError,
        trouble=AZURE_ERROR,
    )


CASES = {
    "gemini": google_case("gemini.generate", google_ask(False), GOOGLE_END, google_texts(False), usage=1),
    "vertex": google_case("gemini.generate", google_ask(True), GOOGLE_END, google_texts(True), usage=1),
    "gemini count": google_case("gemini.count_tokens", google_count, {"totalTokens": 5}),
    "gemini embed": google_case("gemini.embed", google_embed, {"embeddings": [{"values": [0.1]}, {"values": [0.2]}]}),
    "anthropic": anthropic_case(
        "anthropic.messages",
        anthropic_ask,
        {**MESSAGE, "stop_reason": "end_turn", "usage": {"input_tokens": 9, "output_tokens": 4, **CACHE}},
        anthropic_texts,
        usage=1,
    ),
    "anthropic count": anthropic_case("anthropic.count_tokens", anthropic_count, {"input_tokens": 14}),
    "azure": azure_case(azure),
    "azure v1": azure_case(azure_v1),
}
