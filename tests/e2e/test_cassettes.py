"""Every recorded exchange goes through the whole line: client, trail and usage figures equal what the provider sent."""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from penstock.local.replay_cassettes import Cassette, read_cassettes
from penstock.local.replay_cuts import cut_body
from penstock.schemas.events import Dialect
from penstock.wire.request import api_of

from .system import System, gather_bounded
from .upstreams import upstream

DIALECTS: dict[str, Dialect] = {
    "anthropic": "anthropic",
    "google": "gemini",
    "google-vertex": "gemini",
    "bedrock": "bedrock",
    "cohere": "cohere",
    "ollama-cloud": "ollama",
}
pytestmark = [pytest.mark.services, pytest.mark.timeout(540)]


@dataclass(frozen=True)
class Replayed:
    """One answer as the client got it."""

    cassette: Cassette
    exchange_id: str
    status: int
    body: bytes
    cut: str


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[System]:
    with upstream("penstock.local.replay") as url:
        dialects = sorted({"openai", *DIALECTS.values()})
        upstreams = [{"name": dialect, "url": url, "dialect": dialect} for dialect in dialects]
        with System(tmp_path_factory.mktemp("cassettes"), upstreams) as system:
            yield system


@pytest.fixture(scope="module")
def cassettes(shared: Path) -> list[Cassette]:
    return list(read_cassettes(shared).values())


@pytest.mark.parametrize("cut", ["events", "random", "whole", "bytes"])
def test_bytes_and_usage_survive_every_cut(system: System, cassettes: list[Cassette], cut: str) -> None:
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"cut {cut}, seed {seed}")
    done = asyncio.run(_replay(system, cassettes, {"x-replay-cut": cut, "x-replay-seed": str(seed)}, cut))
    assert [row.cassette.id for row in done if row.body != row.cassette.body] == []
    assert [row.cassette.id for row in done if row.status != row.cassette.status] == []
    system.until_settled([row.exchange_id for row in done], 120)
    shown = system.raw_responses([row.exchange_id for row in done])
    assert [row.cassette.id for row in done if shown[row.exchange_id] != row.cassette.body] == []
    _check_usage(system, done)
    _check_chunk_counts(system, done)


def test_missing_usage_is_counted(system: System, cassettes: list[Cassette]) -> None:
    plain = [c for c in cassettes if _is_plain_openai(c)]
    assert len(plain) >= 9
    done = asyncio.run(_replay(system, plain, {"x-replay-usage": "off"}, "events"))
    system.until_settled([row.exchange_id for row in done])
    facts = _facts(system, done)
    off = {}
    for row in done:
        fact = facts[row.exchange_id]
        assert row.cassette.usage is not None
        assert fact["usage_source"] in ("counted", "estimated"), (row.cassette.id, fact)
        wrong = fact["output_tokens"] - row.cassette.usage["output_tokens"]
        if abs(wrong) > 1:
            off[row.cassette.id] = wrong
    print(f"{len(done) - len(off)} of {len(done)} within 1 token; others: {off}")
    assert len(off) <= 0.03 * len(done), off


def test_the_command_shows_the_same_bytes(system: System, cassettes: list[Cassette]) -> None:
    chosen = [next(c for c in cassettes if c.stream), next(c for c in cassettes if not c.stream)]
    done = asyncio.run(_replay(system, chosen, {}, "events"))
    system.until_settled([row.exchange_id for row in done])
    for row in done:
        for flag in ("--raw-response", "--client-response"):
            shown = system.cli("show", row.exchange_id, flag)
            assert shown.returncode == 0, shown.stderr
            assert shown.stdout == row.cassette.body


def _is_plain_openai(cassette: Cassette) -> bool:
    """Verbatim text of a model without reasoning, whose provider reported usage: our count can be held against it."""
    return (
        cassette.provider in ("openai", "azure-openai")
        and cassette.api in ("openai.chat", "openai.completions")
        and cassette.verbatim
        and cassette.status == 200
        and cassette.usage is not None
        and not {"tools-offered", "tool-call", "structured-output", "reasoning", "media-input"} & set(cassette.tags)
        and not (cassette.usage.get("reasoning_tokens") or 0)
    )


def _check_usage(system: System, done: Sequence[Replayed]) -> None:
    facts = _facts(system, done)
    wrong: dict[str, Any] = {}
    checked = 0
    for row in done:
        usage = row.cassette.usage
        read = api_of(DIALECTS.get(row.cassette.provider, "openai"), "POST", row.cassette.path) != "opaque"
        if not read or usage is None or usage["input_tokens"] is None:
            continue
        fact, wants = facts[row.exchange_id], _wanted(row.cassette)
        found = {name: fact[name] for name in wants} | {"usage_source": fact["usage_source"]}
        checked += 1
        if found != wants | {"usage_source": "reported"}:
            wrong[row.cassette.id] = {"found": found, "wants": wants, "provider": row.cassette.provider}
    print(f"usage checked: {checked}")
    assert checked > 350
    assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())


def _check_chunk_counts(system: System, done: Sequence[Replayed]) -> None:
    """`chunk_count` counts the SSE events of a stream, `[DONE]` included, however they came."""
    found = dict(system.query("SELECT exchange_id, chunk_count FROM penstock.exchanges"))
    streams = [row for row in done if row.cassette.stream_format == "sse"]
    wants = {row.exchange_id: len(cut_body(row.cassette.body, "events")) for row in streams}
    assert {name: found[name] for name in wants} == wants


def _wanted(cassette: Cassette) -> dict[str, int]:
    """The figures that the recorder read out of the answer, in Penstock's convention: input includes cache reads and
    writes. What it did not read (None) is left to the tests of `wire.usage`, which hold against the raw object."""
    usage = cassette.usage or {}
    cache = (usage["cached_input_tokens"] or 0) + (usage["cache_write_tokens"] or 0)
    apart = cassette.api == "anthropic.messages"
    if cassette.api == "google.generate":
        return _of_google(usage)
    figures = {
        "input_tokens": usage["input_tokens"] + (cache if apart else 0),
        "output_tokens": usage["output_tokens"],
        "cached_tokens": usage["cached_input_tokens"],
        "reasoning_tokens": usage["reasoning_tokens"],
    }
    return {name: tokens for name, tokens in figures.items() if tokens is not None}


def _of_google(usage: Mapping[str, Any]) -> dict[str, int]:
    """Google counts thoughts beside its candidates, and what its own tools fetched beside the prompt."""
    thoughts = usage["reasoning_tokens"] or 0
    return {
        "input_tokens": usage["input_tokens"] + usage["raw"].get("toolUsePromptTokenCount", 0),
        "output_tokens": usage["output_tokens"] + thoughts,
        "cached_tokens": usage["cached_input_tokens"] or 0,
        "reasoning_tokens": thoughts,
    }


def _facts(system: System, done: Sequence[Replayed]) -> dict[str, dict[str, Any]]:
    names = ("exchange_id", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "usage_source")
    rows = system.query(f"SELECT {', '.join(names)} FROM penstock.exchanges")
    wanted = {row.exchange_id for row in done}
    return {row[0]: dict(zip(names, row, strict=True)) for row in rows if row[0] in wanted}


async def _replay(system: System, cassettes: Sequence[Cassette], headers: dict[str, str], cut: str) -> list[Replayed]:
    connector = aiohttp.TCPConnector(limit=16)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

        async def one(cassette: Cassette) -> Replayed:
            name = DIALECTS.get(cassette.provider, "openai")
            async with session.post(
                f"{system.url}/{name}{cassette.path}",
                data=orjson.dumps(cassette.request),
                headers={"content-type": "application/json", "x-replay": cassette.id, **headers},
            ) as response:
                body = await response.read()
                return Replayed(cassette, response.headers["x-penstock-exchange-id"], response.status, body, cut)

        return await gather_bounded([lambda c=c: one(c) for c in cassettes], 16)
