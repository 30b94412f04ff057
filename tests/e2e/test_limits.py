"""A limit that passes in mid-stream cuts the stream, refuses the next request, and leaves other teams alone."""

import asyncio
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from penstock.local.endpoint_record import read_sent

from .system import System, gather_bounded
from .upstreams import upstream

RUNS = 50
AT_ONCE = 5
RATE_PER_S = 100
EXCHANGE_LIMIT = 700
TEAM_LIMIT = 120
pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

TEAMS = {
    "free": "sk-free-0123456789abcdef",
    "small": "sk-small-0123456789abcdef",
    "claude": "sk-claude-0123456789abcdef",
    "poor": "sk-poor-0123456789abcdef",
    **{f"run{number}": f"sk-run-{number}-0123456789abcdef" for number in range(RUNS)},
}


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("endpoint") / "record.jsonl"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, record: Path) -> Iterator[System]:
    limits = [
        {"id": f"team-{team}", "scope": f"team:{team}", "unit": "output_tokens", "amount": TEAM_LIMIT, "window": "day"}
        for team in ("small", "claude", *(f"run{number}" for number in range(RUNS)))
    ]
    limits.append({"id": "stream", "scope": "exchange:*", "unit": "output_tokens", "amount": EXCHANGE_LIMIT})
    limits.append({"id": "poor-cost", "scope": "key:key-poor", "unit": "cost_usd", "amount": "0.001", "window": "day"})
    with upstream("penstock.local.endpoint", "--record", str(record), "--rate", str(RATE_PER_S)) as url:
        upstreams = [
            {"name": "openai", "url": url, "dialect": "openai"},
            {"name": "anthropic", "url": url, "dialect": "anthropic"},
        ]
        with System(tmp_path_factory.mktemp("limits"), upstreams, teams=TEAMS, limits=limits) as system:
            yield system


def _openai(system: System, team: str, **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=TEAMS[team], base_url=f"{system.url}/openai/v1", **options)


async def _stream(client: openai.AsyncOpenAI, tokens: int, rate_per_s: int = RATE_PER_S) -> tuple[str, str | None]:
    """The text that came, and the message of the error that ended it."""
    text = ""
    try:
        async for chunk in await client.chat.completions.create(
            model="gpt-4o",
            stream=True,
            messages=[{"role": "user", "content": f"Write. {{{{endpoint tokens={tokens} rate={rate_per_s}}}}}"}],
        ):
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    except openai.APIError as error:
        return text, str(error)
    return text, None


def test_a_team_is_cut_in_mid_stream_fifty_times(system: System) -> None:
    async def run(number: int) -> tuple[str, str | None]:
        async with _openai(system, f"run{number}", max_retries=0) as client:
            return await _stream(client, 1000)

    async def drive() -> tuple[list[Any], tuple[str, str | None]]:
        async with _openai(system, "free") as untouched:
            other = asyncio.create_task(_stream(untouched, 500))
            cut = await gather_bounded([lambda n=n: run(n) for n in range(RUNS)], AT_ONCE)
            return cut, await other

    cut, other = asyncio.run(drive())
    assert other[1] is None
    assert [message for _, message in cut if message is None] == []
    assert all("for team run" in (message or "") and str(TEAM_LIMIT) in (message or "") for _, message in cut), cut[0]
    sql = "SELECT count() FROM penstock.kills WHERE limit_id LIKE 'team-run%'"
    system.until(lambda: system.query(sql)[0][0] == RUNS, f"{RUNS} kills", 60)
    rows = system.query("SELECT overshoot_tokens, cut_ms FROM penstock.kills WHERE limit_id LIKE 'team-run%'")
    overshoot = sorted(row[0] for row in rows)
    cut_ms = sorted(row[1] for row in rows)
    print(f"overshoot tokens: median {statistics.median(overshoot)}, worst {overshoot[-1]}")
    print(f"cut ms: median {statistics.median(cut_ms):.1f}, worst {cut_ms[-1]:.1f}")
    assert statistics.median(overshoot) <= 20
    assert overshoot[-1] <= 60
    assert overshoot[0] >= 0


def test_overshoot_is_what_the_client_got_beyond_the_limit(system: System, record: Path) -> None:
    from penstock.wire.tokens import count_text, encoding_for

    async def drive() -> tuple[str, str | None]:
        async with _openai(system, "small", max_retries=0) as client:
            return await _stream(client, 1000)

    text, message = asyncio.run(drive())
    assert message is not None
    sql = "SELECT exchange_id, overshoot_tokens FROM penstock.kills WHERE limit_id = 'team-small'"
    [(exchange_id, overshoot)] = system.until(lambda: system.query(sql), "the kill", 30)
    got = count_text(encoding_for("gpt-4o", "openai.chat"), text)
    assert overshoot == got - TEAM_LIMIT
    system.until_settled([exchange_id])
    [(outcome, tokens)] = system.query(
        "SELECT outcome, output_tokens FROM penstock.exchanges WHERE exchange_id = {id:String}", id=exchange_id
    )
    assert outcome == "killed"
    assert tokens >= got


def test_the_next_request_is_refused_once(system: System, record: Path) -> None:
    async def drive() -> openai.RateLimitError:
        async with _openai(system, "small", max_retries=3) as client:
            with pytest.raises(openai.RateLimitError) as caught:
                await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "again"}])
            return caught.value

    count = "SELECT count() FROM penstock.exchanges WHERE team = 'small' AND outcome = 'blocked'"
    before = system.query(count)[0][0]
    error = asyncio.run(drive())
    assert error.status_code == 429
    assert int(error.response.headers["retry-after"]) > 0
    assert error.response.headers["x-should-retry"] == "false"
    assert "for team small" in str(error)
    system.until(lambda: system.query(count)[0][0] == before + 1, "one refused exchange")


def test_anthropic_is_cut_and_refused_in_its_own_words(system: System) -> None:
    async def drive() -> tuple[str, str, anthropic.RateLimitError]:
        client = anthropic.AsyncAnthropic(api_key=TEAMS["claude"], base_url=f"{system.url}/anthropic", max_retries=3)
        text = ""
        async with client:
            with pytest.raises(anthropic.APIStatusError) as cut:
                async with client.messages.stream(
                    model="claude-sonnet-4-6",
                    max_tokens=4000,
                    messages=[{"role": "user", "content": f"Write. {{{{endpoint tokens=1000 rate={RATE_PER_S}}}}}"}],
                ) as stream:
                    async for part in stream.text_stream:
                        text += part
            with pytest.raises(anthropic.RateLimitError) as refused:
                await client.messages.create(
                    model="claude-sonnet-4-6", max_tokens=100, messages=[{"role": "user", "content": "again"}]
                )
        return text, str(cut.value), refused.value

    text, message, refused = asyncio.run(drive())
    assert text
    assert "for team claude" in message
    assert refused.response.headers["x-should-retry"] == "false"
    count = "SELECT count() FROM penstock.exchanges WHERE team = 'claude' AND outcome = 'blocked'"
    system.until(lambda: system.query(count)[0][0] == 1, "one refused exchange")


def test_one_exchange_is_cut_and_the_next_goes_on(system: System) -> None:
    async def drive() -> tuple[tuple[str, str | None], tuple[str, str | None]]:
        async with _openai(system, "free", max_retries=0) as client:
            return await _stream(client, 1500, 400), await _stream(client, 50, 400)

    cut, after = asyncio.run(drive())
    assert f"{EXCHANGE_LIMIT} output tokens" in (cut[1] or "")
    assert after[1] is None
    sql = "SELECT overshoot_tokens, scope FROM penstock.kills WHERE limit_id = 'stream'"
    [(overshoot, scope)] = system.until(lambda: system.query(sql), "the kill", 30)
    assert 0 <= overshoot <= 60
    assert scope.startswith("exchange:")


def test_money_is_a_limit_too(system: System) -> None:
    async def drive() -> tuple[str, str | None]:
        async with _openai(system, "poor", max_retries=0) as client:
            return await _stream(client, 1000)

    text, message = asyncio.run(drive())
    assert text
    assert "for key key-poor" in (message or "")


def test_the_endpoint_stopped_sending_when_it_was_cut(system: System, record: Path) -> None:
    cut = [sent for sent in read_sent(record).values() if sent.end == "hung_up"]
    assert len(cut) >= RUNS
