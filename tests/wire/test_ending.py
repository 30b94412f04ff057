"""Endings and refusals raise in the providers' own SDKs, with the reason in the exception, and without a retry."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, get_args

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google_types

from penstock.schemas.events import Api, Dialect
from penstock.wire.ending import kill_element, kill_ending, refusal, stream_terminal
from penstock.wire.sse import EventSplitter

REASON = 'Team "research" has used its budget.\nAsk für more: ai-platform@example.org'
CHOICE = b'{"index":0,"delta":{"content":"Hi"}}'
CHAT = b'{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[' + CHOICE + b"]}"
FIRST = b"data: " + CHAT + b"\n\n"
TEXT = FIRST.replace(b"chat.completion.chunk", b"text_completion").replace(b'"delta":{"content":"Hi"}', b'"text":"Hi"')
DELTA = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}'
CANDIDATE = b'data: {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}\r\n\r\n'
EVENT = b"event: content_block_delta\ndata: " + DELTA + b"\n\n"


@dataclass
class Server:
    """Answers every request with the same bytes."""

    answer: bytes
    url: str = ""
    requests: list[bytes] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        self.requests.append(head)
        writer.write(self.answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[Server]:
    server = Server(answer)
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        await listener.wait_closed()


def stream(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + body


def refused(api: Api, dialect: Dialect) -> bytes:
    headers, body = refusal(api, dialect, 429, REASON, "limit_exceeded", 60)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return b"HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\n" + lines.encode() + b"\r\n" + body


async def test_a_killed_chat_raises_in_openai() -> None:
    async with serving(stream(FIRST + kill_ending("openai.chat", REASON, "limit_exceeded"))) as server:
        async with openai.AsyncOpenAI(api_key="k", base_url=server.url + "/v1") as client:
            text = ""
            chunks = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "x"}], stream=True
            )
            with pytest.raises(openai.APIError) as raised:
                async for chunk in chunks:
                    text += chunk.choices[0].delta.content or ""
        assert text == "Hi"
        assert REASON in str(raised.value)
        assert raised.value.code == "limit_exceeded"
        assert len(server.requests) == 1


async def test_a_killed_completion_raises_in_openai() -> None:
    async with serving(stream(TEXT + kill_ending("openai.completions", REASON, "limit_exceeded"))) as server:
        async with openai.AsyncOpenAI(api_key="k", base_url=server.url + "/v1") as client:
            chunks = await client.completions.create(model="m", prompt="x", stream=True)
            with pytest.raises(openai.APIError) as raised:
                async for _ in chunks:
                    pass
        assert REASON in str(raised.value)


async def test_a_killed_message_raises_in_anthropic() -> None:
    async with serving(stream(EVENT + kill_ending("anthropic.messages", REASON, "limit_exceeded"))) as server:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=server.url) as client:
            kinds = ""
            events = await client.messages.create(
                model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}], stream=True
            )
            with pytest.raises(anthropic.APIStatusError) as raised:
                async for event in events:
                    kinds += event.type
        assert kinds == "content_block_delta"
        assert "ai-platform@example.org" in str(raised.value)
        assert raised.value.body == {
            "type": "error",
            "error": {"type": "permission_error", "message": REASON, "code": "limit_exceeded"},
        }


AIOHTTP = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
"""google-genai's own, with the aiohttp that it prefers."""


def google_client(url: str, **options: Any) -> genai.Client:
    return genai.Client(api_key="k", http_options=google_types.HttpOptions(base_url=url, **options))


@AIOHTTP
async def test_a_killed_answer_raises_in_google_genai() -> None:
    async with serving(stream(CANDIDATE + kill_ending("gemini.generate", REASON, "limit_exceeded"))) as server:
        client, text = google_client(server.url), ""
        with pytest.raises(google_errors.ClientError) as raised:
            async for chunk in await client.aio.models.generate_content_stream(model="m", contents="x"):
                text += chunk.text or ""
        await client.aio.aclose()
    assert (text, raised.value.code, raised.value.status) == ("Hi", 403, "PERMISSION_DENIED")
    assert raised.value.message == REASON
    assert raised.value.details["error"]["details"][0]["reason"] == "LIMIT_EXCEEDED"
    assert len(server.requests) == 1


@AIOHTTP
async def test_a_refusal_raises_once_in_google_genai() -> None:
    async with serving(refused("gemini.generate", "gemini")) as server:
        client = google_client(server.url)
        with pytest.raises(google_errors.ClientError) as raised:
            await client.aio.models.generate_content(model="m", contents="x")
        with pytest.raises(google_errors.ClientError) as streamed:
            await anext(await client.aio.models.generate_content_stream(model="m", contents="x"))
        await client.aio.aclose()
    for error in (raised.value, streamed.value):
        assert (error.code, error.status, error.message) == (429, "RESOURCE_EXHAUSTED", REASON)
        assert error.details["error"]["details"] == [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "LIMIT_EXCEEDED", "domain": "penstock"},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "60s"},
        ]
    assert len(server.requests) == 2


@AIOHTTP
async def test_google_genai_asks_again_only_where_the_application_wants_it() -> None:
    again = google_types.HttpRetryOptions(attempts=2, initial_delay=0.01, max_delay=0.01, jitter=0)
    async with serving(refused("gemini.generate", "gemini")) as server:
        async with google_client(server.url, retry_options=again).aio as client:
            with pytest.raises(google_errors.ClientError):
                await client.models.generate_content(model="m", contents="x")
        assert len(server.requests) == 2
    async with serving(stream(CANDIDATE + kill_ending("gemini.generate", REASON, "limit_exceeded"))) as server:
        async with google_client(server.url, retry_options=again).aio as client:
            with pytest.raises(google_errors.ClientError):
                async for _ in await client.models.generate_content_stream(model="m", contents="x"):
                    pass
        assert len(server.requests) == 1


def test_the_last_element_of_an_array_is_the_same_error() -> None:
    event = kill_ending("gemini.generate", REASON, "budget_exceeded")
    assert event == b"data: " + kill_element(REASON, "budget_exceeded") + b"\n\n"


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_a_refusal_raises_once_in_openai(dialect: Dialect) -> None:
    async with serving(refused("openai.chat", dialect)) as server:
        async with openai.AsyncOpenAI(api_key="k", base_url=server.url + "/v1", max_retries=5) as client:
            with pytest.raises(openai.RateLimitError) as raised:
                await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
        assert REASON in raised.value.message
        assert raised.value.code == "limit_exceeded"
        assert raised.value.response.headers["retry-after"] == "60"
        assert len(server.requests) == 1


async def test_a_refusal_raises_once_in_anthropic() -> None:
    async with serving(refused("anthropic.messages", "anthropic")) as server:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=server.url, max_retries=5) as client:
            with pytest.raises(anthropic.RateLimitError) as raised:
                await client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}])
        assert "ai-platform@example.org" in str(raised.value)
        assert len(server.requests) == 1


STREAMED = ("openai.chat", "openai.completions", "openai.responses", "anthropic.messages", "gemini.generate")


@pytest.mark.parametrize("api", get_args(Api))
def test_an_ending_is_whole_events(api: Api) -> None:
    splitter = EventSplitter()
    pieces = splitter.feed(kill_ending(api, REASON, "code"))
    assert splitter.at_border
    assert bool(pieces) == (api in STREAMED)


@pytest.mark.parametrize(
    ("api", "dialect", "place"),
    [
        ("openai.chat", "opaque", ("error", "message")),
        ("embeddings", "gemini", ("error", "message")),
        ("anthropic.messages", "openai", ("error", "message")),
        ("anthropic.count_tokens", "openai", ("error", "message")),
        ("gemini.generate", "openai", ("error", "message")),
        ("opaque", "openai", ("error", "message")),
        ("opaque", "opaque", ("error", "message")),
        ("opaque", "gemini", ("error", "message")),
        ("opaque", "bedrock", ("message",)),
        ("opaque", "cohere", ("message",)),
        ("opaque", "ollama", ("error",)),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 502, 503, 504])
def test_a_refusal_speaks_its_protocol(api: Api, dialect: Dialect, place: tuple[str, ...], status: int) -> None:
    headers, body = refusal(api, dialect, status, REASON, "code")
    content = json.loads(body)
    for name in place:
        content = content[name]
    assert content == REASON
    assert dict(headers)["content-length"] == str(len(body))
    assert "retry-after" not in dict(headers)


@pytest.mark.parametrize(
    ("api", "event", "last"),
    [
        ("openai.chat", b"data: [DONE]\n\n", True),
        ("openai.chat", b"data:[DONE]\r\n\r\n", True),
        ("openai.chat", b'data: {"choices":[{"delta":{"content":"[DONE]"}}]}\n\n', False),
        ("anthropic.messages", b'event: message_stop\ndata: {"type": "message_stop"}\n\n', True),
        ("anthropic.messages", b'data: {"type":"content_block_delta","delta":{"text":"message_stop"}}\n\n', False),
        ("anthropic.messages", b"data: message_stop\n\n", False),
        ("gemini.generate", b"\n]", True),
        ("gemini.generate", b'[{"candidates":[]}', False),
        ("gemini.generate", CANDIDATE, False),
    ],
)
def test_last_event(api: Api, event: bytes, last: bool) -> None:
    assert stream_terminal(api, event) is last
