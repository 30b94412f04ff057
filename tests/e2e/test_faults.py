"""kill -9 of every part, in turn and at random, under live streams: nothing is lost, nothing counts twice."""

import asyncio
import hashlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from penstock.local.endpoint_record import read_sent

from .system import System
from .upstreams import upstream

PARTS = ("meter", "record", "seal", "clickhouse", "tap", "kafka")
RANDOM_KILLS = 4
CLIENTS = 6
TOKENS = 40
RATE_PER_S = 60
pytestmark = [pytest.mark.services, pytest.mark.faults, pytest.mark.timeout(540)]


@dataclass
class Seen:
    """What the clients know: exchanges that they got whole, with the digest of the body, and those that broke, with the
    bytes that had come."""

    whole: dict[str, tuple[str, str]] = field(default_factory=dict)
    broken: dict[str, bytes] = field(default_factory=dict)
    refused: int = 0


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("endpoint") / "record.jsonl"


@pytest.fixture(scope="module", params=["strict", "journal"])
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, record: Path) -> Iterator[System]:
    limits = [
        {"id": "org-month", "scope": "org:*", "unit": "output_tokens", "amount": 10**9, "window": "calendar_month"}
    ]
    with upstream("penstock.local.endpoint", "--record", str(record), "--rate", str(RATE_PER_S)) as url:
        upstreams = [{"name": "openai", "url": url, "dialect": "openai"}]
        teams = {"red": "sk-red-0123456789abcdef", "blue": "sk-blue-0123456789abcdef"}
        folder, tap = tmp_path_factory.mktemp("faults"), {"audit": request.param}
        with System(folder, upstreams, teams=teams, limits=limits, tap=tap) as system:
            yield system


async def _client(url: str, number: int, seen: Seen, stop: asyncio.Event) -> None:
    """Streams one answer after another; half of them without usage figures, so that they must be counted."""
    headers = {"authorization": f"Bearer sk-{('red', 'blue')[number % 2]}-0123456789abcdef"}
    async with aiohttp.ClientSession(headers=headers) as session:
        turn = 0
        while not stop.is_set():
            turn += 1
            words = (
                f"{number}-{turn} {{{{endpoint tokens={TOKENS} rate={RATE_PER_S} usage={('on', 'off')[turn % 2]}}}}}"
            )
            body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": words}]}
            exchange, content = "", b""
            try:
                async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                    exchange = response.headers.get("x-penstock-exchange-id", "")
                    async for piece in response.content.iter_any():
                        content += piece
                    if response.status != 200:
                        seen.refused, exchange = seen.refused + 1, ""
                        await asyncio.wait_for(stop.wait(), 0.2)
                    elif content.endswith(b"data: [DONE]\n\n"):
                        digest = hashlib.sha256(content).hexdigest()
                        seen.whole[exchange] = (response.headers["x-request-id"], digest)
                    else:
                        seen.broken[exchange] = content
            except (aiohttp.ClientError, OSError):
                if exchange:
                    seen.broken[exchange] = content
                await asyncio.sleep(0.1)
            except TimeoutError:
                continue


async def _under_load(system: System, kills: list[str], choose: random.Random) -> tuple[Seen, dict[str, list[float]]]:
    seen, stop = Seen(), asyncio.Event()
    recovery: dict[str, list[float]] = {part: [] for part in PARTS}
    clients = [asyncio.create_task(_client(system.url, number, seen, stop)) for number in range(CLIENTS)]
    try:
        for part in kills:
            await asyncio.sleep(choose.uniform(0.5, 2.0))
            died = system.kill(part)
            recovery[part].append(await asyncio.to_thread(system.until_back, part, died))
        await asyncio.sleep(2.0)
    finally:
        stop.set()
        await asyncio.gather(*clients)
    return seen, recovery


def test_nothing_is_lost_or_doubled(system: System, record: Path) -> None:
    seed = int(os.environ.get("PENSTOCK_TEST_SEED", random.SystemRandom().randrange(1 << 30)))
    choose = random.Random(seed)
    kills = [*PARTS, *choose.choices(PARTS, k=RANDOM_KILLS)]
    print(f"seed {seed}: {' '.join(kills)}")
    seen, recovery = asyncio.run(_under_load(system, kills, choose))
    print("recovery s:", {part: [round(value, 1) for value in values] for part, values in recovery.items()})
    print(f"{len(seen.whole)} whole, {len(seen.broken)} broken, {seen.refused} refused")
    assert len(seen.whole) >= 20
    system.until_settled(seen.whole, 120)
    begun = (
        "SELECT DISTINCT exchange_id FROM penstock.events_log WHERE topic = 'penstock.traffic.v1' AND kind = 'prompt'"
    )
    system.until_settled([row[0] for row in system.query(begun)], 120)
    _check_once(system)
    _check_whole(system, seen, record)
    if system.settings.tap.audit == "journal":
        _check_broken(system, seen)
    verdict = system.until(lambda: _verified(system), "a passing verification", 60)
    assert verdict["ok"] is True


def _verified(system: System) -> dict[str, object] | None:
    verdict = system.verify()
    return verdict if verdict["ok"] else None


def _check_once(system: System) -> None:
    doubled = system.query(
        "SELECT event_id, count() FROM penstock.events_log FINAL WHERE duplicate_of = '' AND kind != 'tombstone'"
        " GROUP BY event_id HAVING count() > 1"
    )
    assert doubled == []
    facts = system.query("SELECT count(), uniqExact(exchange_id) FROM penstock.exchange_facts FINAL")
    assert facts[0][0] == facts[0][1]


def _check_broken(system: System, seen: Seen) -> None:
    """Whatever a client has got is in the trail, also where the tap was killed in the middle of an event; and that has
    an end, as its protocol of exchanges wants it."""
    ended = {row[0] for row in system.query("SELECT exchange_id FROM penstock.events_log WHERE kind = 'completion'")}
    shown = system.raw_responses(seen.broken, whole=False)
    wrong = {
        exchange_id: (len(content), len(shown[exchange_id]))
        for exchange_id, content in seen.broken.items()
        if not shown[exchange_id].startswith(content) or exchange_id not in ended
    }
    assert wrong == {}


def _check_whole(system: System, seen: Seen, record: Path) -> None:
    """Whole at the client: whole in the trail, and its tokens are what the endpoint counted itself."""
    sent = read_sent(record)
    sql = "SELECT exchange_id, output_tokens, outcome FROM penstock.exchanges"
    facts = {row[0]: row[1:] for row in system.query(sql)}
    shown = system.raw_responses(seen.whole)
    wrong = {}
    for exchange_id, (request_id, digest) in seen.whole.items():
        body = shown[exchange_id]
        tokens, outcome = facts[exchange_id]
        wants = sent[request_id].output_tokens
        if hashlib.sha256(body).hexdigest() != digest or tokens != wants or outcome != "completed":
            wrong[exchange_id] = (len(body), tokens, wants, outcome)
    assert wrong == {}
