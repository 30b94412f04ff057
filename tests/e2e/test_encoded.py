"""Encoded answers through the whole system: a limit cuts a gzip stream, SQL reads what br says, the trail is whole."""

import asyncio
from collections.abc import Iterator

import openai
import pytest

from .encoded_upstream import WORDS
from .system import System
from .upstreams import upstream

KEY = "sk-encoded-0123456789abcdef"
LIMIT = 50
TRACE = "0af7651916cd43dd8448eb211c80319c"
RECORDED = "exchange_id IN (SELECT exchange_id FROM penstock.events WHERE kind = 'completion')"
"""Facts and traffic are written side by side: the texts are there once the end is."""
pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    limits = [{"id": "stream", "scope": "exchange:*", "unit": "output_tokens", "amount": LIMIT}]
    with upstream("tests.e2e.encoded_upstream") as url:
        upstreams = [{"name": "openai", "url": url, "dialect": "openai"}]
        with System(tmp_path_factory.mktemp("encoded"), upstreams, teams={"red": KEY}, limits=limits) as system:
            yield system


def client_of(system: System) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=KEY, base_url=f"{system.url}/openai/v1", max_retries=0)


def test_a_limit_cuts_a_gzip_stream_and_its_sdk_raises(system: System) -> None:
    async def drive() -> tuple[str, str]:
        said = ""
        async with client_of(system) as client:
            with pytest.raises(openai.APIError) as raised:
                async for part in await client.chat.completions.create(
                    model="gpt-4o", stream=True, messages=[{"role": "user", "content": "go on"}]
                ):
                    said += part.choices[0].delta.content or ""
        return said, str(raised.value)

    said, message = asyncio.run(drive())
    given = said.count(" a")
    assert LIMIT <= given < WORDS
    assert str(LIMIT) in message
    rows = system.until(
        lambda: system.query(
            "SELECT outcome, output_tokens, chunk_count, completion_text FROM penstock.exchanges "
            f"WHERE stream AND {RECORDED}"
        ),
        "the exchange",
    )
    outcome, tokens, chunks, text = rows[0]
    assert (outcome, text) == ("killed", said)
    assert given == tokens == chunks


def test_sql_reads_what_a_brotli_answer_says(system: System) -> None:
    async def drive() -> str | None:
        async with client_of(system) as client:
            answer = await client.chat.completions.create(
                model="gpt-4o",
                messages=[{"role": "user", "content": "greet"}],
                extra_headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
            )
            return answer.choices[0].message.content

    said = asyncio.run(drive())
    rows = system.until(
        lambda: system.query(
            "SELECT completion_text, prompt_text, output_tokens, usage_source FROM penstock.exchanges "
            f"WHERE trace_id = '{TRACE}' AND {RECORDED}"
        ),
        "the exchange",
    )
    assert [tuple(row) for row in rows] == [(said, "greet", 5, "reported")]


def test_the_trail_is_whole(system: System) -> None:
    assert system.verify()["ok"]
