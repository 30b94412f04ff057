"""The local endpoint in Google's words: its own SDK, the array that no SDK asks for, and counts that are free."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import pytest
from google import genai
from google.genai import errors, types

from penstock.local.endpoint import Endpoint
from penstock.local.endpoint_record import read_sent
from penstock.wire.tokens import count_text, encoding_for

MODEL = "gemini-2.5-flash"
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    async with Endpoint(tmp_path / "endpoint.jsonl") as running:
        yield running


@pytest.fixture
async def client(endpoint: Endpoint) -> AsyncIterator[Any]:
    options = types.HttpOptions(base_url=endpoint.url)
    async with genai.Client(api_key="k-0123456789", http_options=options).aio as client:
        yield client


async def test_a_stream_says_what_the_record_says(endpoint: Endpoint, client: Any, tmp_path: Path) -> None:
    chunks = [one async for one in await client.models.generate_content_stream(model=MODEL, contents="Tell me.")]
    text = "".join(one.text or "" for one in chunks)
    await endpoint.idle()
    sent = list(read_sent(tmp_path / "endpoint.jsonl").values())[-1]
    usage = chunks[-1].usage_metadata
    assert (sent.texts, sent.dialect, sent.credential, sent.usage) == ([text], "gemini", True, True)
    assert usage.candidates_token_count == sent.output_tokens
    assert sent.output_tokens == count_text(encoding_for(MODEL, "gemini.generate"), text)
    assert usage.prompt_token_count == sent.input_tokens > 0
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP


async def test_whole_answers_limits_counts_and_errors(client: Any) -> None:
    config = types.GenerateContentConfig(max_output_tokens=12)
    answer = await client.models.generate_content(model=MODEL, contents="Tell me.", config=config)
    assert answer.usage_metadata.candidates_token_count <= 12
    assert answer.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    counted = await client.models.count_tokens(model=MODEL, contents="Tell me.")
    assert counted.total_tokens == answer.usage_metadata.prompt_token_count
    with pytest.raises(errors.ServerError) as raised:
        await client.models.generate_content(model=MODEL, contents="{{endpoint error=503}}")
    assert (raised.value.code, raised.value.status) == (503, "UNAVAILABLE")


async def test_the_array_is_one(endpoint: Endpoint) -> None:
    path = f"{endpoint.url}/v1beta/models/{MODEL}:streamGenerateContent"
    ask = {"contents": [{"parts": [{"text": "{{endpoint tokens=30}}"}]}]}
    async with aiohttp.ClientSession() as session, session.post(path, json=ask) as response:
        assert response.content_type == "application/json"
        chunks = json.loads(await response.read())
    assert len(chunks) > 2
    assert chunks[-1]["usageMetadata"]["candidatesTokenCount"] > 20


async def test_counting_messages(endpoint: Endpoint) -> None:
    ask: Any = [{"role": "user", "content": "Tell me of the river."}]
    async with anthropic.AsyncAnthropic(base_url=endpoint.url, api_key="sk-ant-local") as client:
        counted = await client.messages.count_tokens(model="claude-sonnet-4-6", messages=ask)
        said = await client.messages.create(model="claude-sonnet-4-6", max_tokens=9, messages=ask)
    assert counted.input_tokens == said.usage.input_tokens


async def test_what_is_not_served_is_not_found(endpoint: Endpoint) -> None:
    async with aiohttp.ClientSession(endpoint.url) as session:
        for path in (f"/v1beta/models/{MODEL}:embedContent", "/v1/responses"):
            async with session.post(path, json={"model": "m"}) as response:
                assert response.status == 404
