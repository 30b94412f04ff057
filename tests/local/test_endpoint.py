"""The local endpoint, spoken to by the providers' own SDKs and by raw requests, checked against its own record."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from penstock.local.endpoint import Endpoint
from penstock.local.endpoint_record import Sent, read_sent
from penstock.wire.tokens import count_text, encoding_for

ASK: list[Any] = [{"role": "user", "content": "Tell me of the river."}]


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    async with Endpoint(tmp_path / "endpoint.jsonl") as running:
        yield running


@pytest.fixture
async def oai(endpoint: Endpoint) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{endpoint.url}/v1", api_key="sk-local", max_retries=0) as client:
        yield client


@pytest.fixture
async def ant(endpoint: Endpoint) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=endpoint.url, api_key="sk-ant-local", max_retries=0) as client:
        yield client


async def last(endpoint: Endpoint, path: Path) -> Sent:
    await endpoint.idle()
    return list(read_sent(path).values())[-1]


async def test_openai_stream(endpoint: Endpoint, oai: openai.AsyncOpenAI, tmp_path: Path) -> None:
    stream = await oai.chat.completions.create(
        model="gpt-4.1-mini", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    usage = chunks[-1].usage
    sent = await last(endpoint, tmp_path / "endpoint.jsonl")
    assert usage is not None
    assert sent.texts == [text]
    assert (
        usage.completion_tokens == sent.output_tokens == count_text(encoding_for("gpt-4.1-mini", "openai.chat"), text)
    )
    assert usage.prompt_tokens == sent.input_tokens > 0
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert bytes(sent.body).endswith(b"data: [DONE]\n\n")
    assert (sent.end, sent.usage, sent.credential) == ("whole", True, True)
    assert sum(size for _, size in sent.writes) == len(sent.body)


async def test_openai_says_no_usage_unless_asked(endpoint: Endpoint, oai: openai.AsyncOpenAI, tmp_path: Path) -> None:
    stream = await oai.chat.completions.create(model="gpt-4o", messages=ASK, stream=True)
    assert not [chunk async for chunk in stream if chunk.usage]
    assert b'"usage"' not in (await last(endpoint, tmp_path / "endpoint.jsonl")).body


async def test_openai_whole_answers(oai: openai.AsyncOpenAI) -> None:
    twice = [await oai.chat.completions.create(model="gpt-4o", messages=ASK, max_tokens=12, n=2) for _ in range(2)]
    assert twice[0] == twice[1]
    assert twice[0].usage is not None
    assert twice[0].usage.completion_tokens == 24
    assert [choice.finish_reason for choice in twice[0].choices] == ["length", "length"]
    completion = await oai.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once", stream=True)
    assert [part.choices[0].finish_reason async for part in completion][-1] == "stop"
    embedding = await oai.embeddings.create(model="text-embedding-3-small", input=["a", "b"], dimensions=16)
    assert [len(row.embedding) for row in embedding.data] == [16, 16]
    assert embedding.usage.prompt_tokens == 2
    assert "gpt-4o" in [model.id async for model in await oai.models.list()]


async def test_anthropic_stream(endpoint: Endpoint, ant: anthropic.AsyncAnthropic, tmp_path: Path) -> None:
    async with ant.messages.stream(model="claude-sonnet-4-6", max_tokens=1000, messages=ASK) as stream:
        text = "".join([part async for part in stream.text_stream])
        message = await stream.get_final_message()
    sent = await last(endpoint, tmp_path / "endpoint.jsonl")
    assert sent.texts == [text]
    assert message.usage.output_tokens == sent.output_tokens
    assert message.usage.input_tokens == sent.input_tokens
    assert message.stop_reason == "end_turn"
    names = [line for line in bytes(sent.body).decode().splitlines() if line.startswith("event: ")]
    assert (names[0], names[2], names[-1]) == ("event: message_start", "event: ping", "event: message_stop")


async def test_anthropic_whole_answers(ant: anthropic.AsyncAnthropic) -> None:
    message = await ant.messages.create(model="claude-sonnet-4-6", max_tokens=20, messages=ASK)
    assert message.stop_reason == "max_tokens"
    assert 0 < message.usage.output_tokens <= 20
    assert [model.id async for model in await ant.models.list()]


@contextmanager
def asked(**directives: str) -> Iterator[dict[str, str]]:
    yield {f"x-endpoint-{name}": value for name, value in directives.items()}


async def test_errors_are_the_providers_own(oai: openai.AsyncOpenAI, ant: anthropic.AsyncAnthropic) -> None:
    with asked(error="429") as headers, pytest.raises(openai.RateLimitError):
        await oai.chat.completions.create(model="gpt-4o", messages=ASK, extra_headers=headers)
    with asked(error="529") as headers, pytest.raises(anthropic.APIStatusError) as overloaded:
        await ant.messages.create(model="claude-sonnet-4-6", max_tokens=9, messages=ASK, extra_headers=headers)
    assert overloaded.value.status_code == 529
    with pytest.raises(openai.NotFoundError):
        await oai.post("/nowhere", body={"model": "gpt-4o"}, cast_to=object)


async def test_a_cut_and_a_hang_up_are_recorded(endpoint: Endpoint, oai: openai.AsyncOpenAI, tmp_path: Path) -> None:
    with asked(cut="3") as headers, pytest.raises(openai.APIConnectionError):
        stream = await oai.chat.completions.create(model="gpt-4o", messages=ASK, stream=True, extra_headers=headers)
        assert len([chunk async for chunk in stream]) == 3
    sent = await last(endpoint, tmp_path / "endpoint.jsonl")
    assert (sent.end, len(sent.writes), sent.output_tokens) == ("cut", 3, 2)
    with asked(hang="2") as headers:
        stream = await oai.chat.completions.create(model="gpt-4o", messages=ASK, stream=True, extra_headers=headers)
        await anext(stream)
        await stream.close()
    assert (await last(endpoint, tmp_path / "endpoint.jsonl")).end == "hung_up"


async def test_pace(endpoint: Endpoint, oai: openai.AsyncOpenAI, tmp_path: Path) -> None:
    with asked(rate="100", tokens="20") as headers:
        stream = await oai.chat.completions.create(model="gpt-4o", messages=ASK, stream=True, extra_headers=headers)
        assert [chunk async for chunk in stream]
    sent = await last(endpoint, tmp_path / "endpoint.jsonl")
    assert len(sent.writes) == 23
    assert sent.writes[-1][0] - sent.writes[0][0] >= 200_000


async def test_a_bad_request_is_refused_and_the_connection_lives(endpoint: Endpoint) -> None:
    host, port = endpoint.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for body in (b"{", b'{"model":"gpt-4o"}'):
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
        answer: dict[str, Any] = json.loads(await reader.readexactly(length))
        assert ("error" in answer) == (" 400 " in head)
    writer.write(b"nonsense\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
