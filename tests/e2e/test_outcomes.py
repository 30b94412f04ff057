"""Each way in which an exchange can end has its own outcome, keeps the tokens so far, and survives a restart."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from penstock.local.endpoint_record import read_sent

from .system import System
from .upstreams import upstream

pytestmark = [pytest.mark.services, pytest.mark.timeout(240)]
KEY = "sk-team-0123456789abcdef"


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("endpoint") / "record.jsonl"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, record: Path) -> Iterator[System]:
    limits = [{"id": "day", "scope": "team:small", "unit": "output_tokens", "amount": 100, "window": "calendar_month"}]
    tap = {"timeouts": {"connect_s": 5, "first_byte_s": 5, "idle_s": 2}}
    teams = {"team": KEY, "small": "sk-small-0123456789abcdef"}
    with upstream("penstock.local.endpoint", "--record", str(record), "--rate", "200") as url:
        upstreams = [
            {"name": "openai", "url": url, "dialect": "openai"},
            {"name": "gone", "url": "http://127.0.0.1:1", "dialect": "openai"},
        ]
        folder = tmp_path_factory.mktemp("outcomes")
        with System(folder, upstreams, teams=teams, limits=limits, tap=tap) as system:
            yield system


async def _call(
    system: System,
    asks: str,
    *,
    stream: bool = True,
    leave_after: int | None = None,
    key: str = KEY,
    to: str = "openai",
) -> tuple[str, int, bytes]:
    """Exchange id, status and what came of one chat; `leave_after`: hang up after so many bytes."""
    body = {
        "model": "gpt-4o",
        "stream": stream,
        "messages": [{"role": "user", "content": f"x {{{{endpoint {asks}}}}}"}],
    }
    headers = {"authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{system.url}/{to}/v1/chat/completions", json=body, headers=headers) as response,
    ):
        exchange, content = response.headers["x-penstock-exchange-id"], b""
        try:
            async for piece in response.content.iter_any():
                content += piece
                if leave_after is not None and len(content) >= leave_after:
                    response.close()
                    break
        except aiohttp.ClientError:
            pass
        return exchange, response.status, content


def _fact(system: System, exchange: str) -> dict[str, Any]:
    system.until_settled([exchange])
    names = ("outcome", "reason", "status", "output_tokens", "usage_source", "team", "upstream")
    [row] = system.query(
        f"SELECT {', '.join(names)} FROM penstock.exchanges WHERE exchange_id = {{id:String}}", id=exchange
    )
    return dict(zip(names, row, strict=True))


def test_a_client_that_leaves_is_charged_for_what_was_sent(system: System, record: Path) -> None:
    exchange, _, _ = asyncio.run(_call(system, "tokens=2000", leave_after=4000))
    fact = _fact(system, exchange)
    assert (fact["outcome"], fact["team"], fact["usage_source"]) == ("client_disconnected", "team", "counted")
    sent = list(read_sent(record).values())[-1]
    assert sent.end == "hung_up"
    assert 0 < fact["output_tokens"] <= sent.output_tokens < 2000


def test_an_upstream_that_breaks_off_is_an_error_for_the_client(system: System) -> None:
    exchange, status, content = asyncio.run(_call(system, "tokens=500 cut=20"))
    fact = _fact(system, exchange)
    assert (status, fact["outcome"]) == (200, "upstream_error")
    assert fact["output_tokens"] > 0
    assert b"[DONE]" not in content


def test_an_upstream_that_is_not_there(system: System) -> None:
    exchange, status, content = asyncio.run(_call(system, "tokens=5", to="gone"))
    fact = _fact(system, exchange)
    assert (status, fact["outcome"], fact["upstream"]) == (502, "upstream_error", "gone")
    assert b'"error"' in content


@pytest.mark.parametrize("stream", [True, False])
def test_an_upstream_that_falls_silent(system: System, stream: bool) -> None:
    exchange, status, _ = asyncio.run(_call(system, "tokens=50 hang=5", stream=stream))
    fact = _fact(system, exchange)
    assert fact["outcome"] == "upstream_error"
    assert "time" in fact["reason"] or "silent" in fact["reason"], fact
    assert status == (200 if stream else 504)


def test_an_error_of_the_upstream_passes_as_it_is(system: System) -> None:
    exchange, status, content = asyncio.run(_call(system, "error=503"))
    fact = _fact(system, exchange)
    assert (status, fact["outcome"], fact["status"], fact["output_tokens"]) == (503, "upstream_error", 503, 0)
    assert b"asked for an error" in content


def test_everything_survives_a_restart(system: System) -> None:
    small = "sk-small-0123456789abcdef"
    killed, _, content = asyncio.run(_call(system, "tokens=1000", key=small))
    assert b"day is used up" in content
    system.until_settled([killed])
    before = system.query("SELECT count(), sum(output_tokens) FROM penstock.exchanges WHERE team != 'small'")
    assert system.stop() == 0
    assert not [part for part in ("tap", "kafka", "clickhouse") if (system.settings.run / f"{part}.json").exists()]
    system.start()
    assert system.query("SELECT count(), sum(output_tokens) FROM penstock.exchanges WHERE team != 'small'") == before
    refused, status, _ = asyncio.run(_call(system, "tokens=5", key=small))
    assert status == 429
    assert _fact(system, refused)["outcome"] == "blocked"
    passed, status, _ = asyncio.run(_call(system, "tokens=5"))
    assert (status, _fact(system, passed)["outcome"]) == (200, "completed")
    assert system.until(lambda: system.verify()["ok"], "a passing verification", 30)
