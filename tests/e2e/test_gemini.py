"""Gemini through the whole line: a limit cuts its streams in both forms, counting is free, and the trail has it all."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import anthropic
import pytest
from google import genai
from google.genai import errors, types

from .system import System
from .upstreams import upstream

MODEL = "gemini-2.5-flash"
LIMIT = 120
TEAMS = {name: f"AIza-{name}-0123456789abcdef" for name in ("events", "array", "free", "counting")}
pytestmark = [
    pytest.mark.services,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("gemini")
    limits: list[dict[str, Any]] = [
        {"id": f"out-{team}", "scope": f"team:{team}", "unit": "output_tokens", "amount": LIMIT, "window": "day"}
        for team in ("events", "array", "counting")
    ]
    limits.append({"id": "asks", "scope": "team:counting", "unit": "requests", "amount": 3, "window": "day"})
    with upstream("penstock.local.endpoint", "--record", str(folder / "record.jsonl"), "--rate", "50") as url:
        upstreams = [{"name": dialect, "url": url, "dialect": dialect} for dialect in ("gemini", "anthropic")]
        with System(folder / "system", upstreams, teams=TEAMS, limits=limits) as system:
            yield system


def _client(system: System, team: str) -> genai.Client:
    options = types.HttpOptions(base_url=f"{system.url}/gemini")
    return genai.Client(api_key=TEAMS[team], http_options=options)


async def _stream(system: System, team: str, tokens: int) -> str:
    text = ""
    async with _client(system, team).aio as client:
        ask = f"Write. {{{{endpoint tokens={tokens}}}}}"
        async for chunk in await client.models.generate_content_stream(model=MODEL, contents=ask):
            text += chunk.text or ""
    return text


def _facts(system: System, team: str, outcome: str) -> list[Any]:
    sql = """
        SELECT model, stream, output_tokens, usage_source, cost_usd > 0, outcome FROM penstock.exchanges
        WHERE team = {team:String} AND outcome = {outcome:String}
    """
    return system.until(lambda: system.query(sql, team=team, outcome=outcome), f"{team} {outcome}", 60)


def test_a_limit_cuts_the_events_and_the_sdk_says_why(system: System) -> None:
    with pytest.raises(errors.ClientError) as cut:
        asyncio.run(_stream(system, "events", 1500))
    assert (cut.value.code, cut.value.status) == (403, "PERMISSION_DENIED")
    assert "for team events" in (cut.value.message or "")
    [(model, stream, tokens, _, priced, _)] = _facts(system, "events", "killed")
    assert (model, stream, priced) == (MODEL, 1, 1)
    assert tokens >= LIMIT
    with pytest.raises(errors.ClientError) as refused:
        asyncio.run(_stream(system, "events", 5))
    assert (refused.value.code, refused.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert len(_facts(system, "events", "blocked")) == 1
    [(overshoot,)] = system.query("SELECT overshoot_tokens FROM penstock.kills WHERE limit_id = 'out-events'")
    print("overshoot tokens:", overshoot)
    assert 0 <= overshoot <= 60


def test_a_limit_cuts_the_array_and_it_stays_one(system: System) -> None:
    async def read() -> bytes:
        path = f"{system.url}/gemini/v1beta/models/{MODEL}:streamGenerateContent"
        ask = {"contents": [{"parts": [{"text": "{{endpoint tokens=1500}}"}]}]}
        headers = {"x-goog-api-key": TEAMS["array"]}
        async with aiohttp.ClientSession() as session, session.post(path, json=ask, headers=headers) as response:
            return await response.read()

    body = asyncio.run(read())
    *chunks, last = json.loads(body)
    assert len(chunks) > 2
    assert "for team array" in last["error"]["message"]
    _facts(system, "array", "killed")
    [(exchange,)] = system.query("SELECT exchange_id FROM penstock.exchanges WHERE team = 'array'")
    shown = system.cli("show", exchange, "--client-response")
    assert (shown.returncode, shown.stdout) == (0, body)


def test_what_runs_free_is_recorded_as_reported(system: System) -> None:
    text = asyncio.run(_stream(system, "free", 60))
    [(model, stream, tokens, source, priced, _)] = _facts(system, "free", "completed")
    assert (model, stream, source, priced) == (MODEL, 1, "reported", 1)
    assert tokens > 40
    sql = "SELECT completion_text FROM penstock.exchanges WHERE team = 'free'"
    system.until(lambda: system.query(sql)[0][0] == text, "the whole text, which comes with the traffic, not the facts")


def test_counting_costs_requests_alone(system: System) -> None:
    async def count() -> int:
        async with _client(system, "counting").aio as client:
            return int((await client.models.count_tokens(model=MODEL, contents="hi " * 500)).total_tokens)

    async def count_messages() -> int:
        client = anthropic.AsyncAnthropic(base_url=f"{system.url}/anthropic", api_key=TEAMS["counting"], max_retries=3)
        async with client:
            asked: Any = [{"role": "user", "content": "hi " * 500}]
            return (await client.messages.count_tokens(model="claude-sonnet-4-6", messages=asked)).input_tokens

    assert min(asyncio.run(count()), asyncio.run(count()), asyncio.run(count_messages())) > 400
    figures = "count(), sum(input_tokens + output_tokens), sum(cost_usd)"
    sql = f"SELECT {figures} FROM penstock.exchanges WHERE team = 'counting'"
    assert system.until(lambda: system.query(sql)[0][0] == 3 and system.query(sql), "three counts")[0][1:] == (0, 0)

    def refused() -> bool:
        try:
            asyncio.run(count_messages())
        except anthropic.RateLimitError as error:
            return "requests" in str(error)
        return False

    system.until(refused, "the limit of requests to close", 30)
    assert system.until(lambda: system.verify()["ok"], "a passing verification", 30)
