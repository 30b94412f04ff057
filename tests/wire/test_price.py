"""Prices are those of genai-prices on the day, to the last digit, or none."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from genai_prices import Usage as PricedUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.wire.price import price, seller_of
from penstock.wire.usage import Usage

AT = datetime(2026, 11, 24, 5, 45, tzinfo=UTC)
MODELS = [(provider.id, model.id) for provider in get_snapshot().providers for model in provider.models]


@pytest.mark.parametrize(
    ("model", "upstream", "dialect", "seller"),
    [
        ("gpt-4o", "openai", "openai", ("openai", "gpt-4o")),
        ("gpt-4o", "azure-openai", "openai", ("azure", "gpt-4o")),
        ("gpt-4o", "gateway", "openai", ("openai", "gpt-4o")),
        ("openai/gpt-4o", "gateway", "openai", ("openai", "gpt-4o")),
        ("claude-sonnet-4-5", "prod", "anthropic", ("anthropic", "claude-sonnet-4-5")),
        ("llama-3.3-70b-versatile", "groq", "openai", ("groq", "llama-3.3-70b-versatile")),
        ("grok-4", "xai", "openai", ("x-ai", "grok-4")),
        ("anthropic.claude-v2", "bedrock-eu", "bedrock", ("aws", "anthropic.claude-v2")),
        ("llama-3.3-70b", "vllm", "openai", None),
        ("gpt-oss-120b", "local", "openai", None),
        ("gpt-4o", "local", "ollama", None),
        ("", "openai", "openai", None),
    ],
)
def test_seller(model: str, upstream: str, dialect: str, seller: tuple[str, str] | None) -> None:
    assert seller_of(model, upstream, dialect) == seller


def test_cached_tokens_are_not_paid_twice() -> None:
    whole, _ = price("gpt-4o", "openai", Usage(1_000_000, 0), AT)
    half, source = price("gpt-4o", "openai", Usage(1_000_000, 0, 500_000), AT)
    assert (whole, half) == (Decimal("2.5"), Decimal("1.875"))
    assert source.startswith("genai-prices ")
    assert source.endswith(" openai/gpt-4o")


def test_price_of_the_day() -> None:
    usage = Usage(1_000_000, 1_000_000)
    assert price("o3", "openai", usage, datetime(2025, 5, 1, tzinfo=UTC))[0] == 50
    assert price("o3", "openai", usage, datetime(2025, 7, 1, tzinfo=UTC))[0] == 10


@pytest.mark.parametrize("model", ["gpt-99", "no-such-model", ""])
def test_an_unknown_model_has_no_price(model: str) -> None:
    assert price(model, "openai", Usage(1, 1), AT) == (None, "")


def test_parts_beyond_their_whole_are_not_believed() -> None:
    """Recorded from OpenRouter: 2161 of 2168 tokens both read from the cache and written to it."""
    odd, _ = price("gpt-4o", "openai", Usage(2168, 100, 2161, 2161, 500), AT)
    sound, _ = price("gpt-4o", "openai", Usage(2168, 100, 2161, 7, 100), AT)
    assert odd == sound


def test_small_amounts_are_written_out() -> None:
    cost, _ = price("gpt-4o-mini", "openai", Usage(1, 0), AT)
    assert cost == Decimal("0.00000015")
    assert price("gpt-4o-mini", "openai", Usage(), AT)[0] == 0


@settings(max_examples=300, deadline=None)
@given(
    which=st.sampled_from(MODELS),
    counts=st.tuples(*[st.integers(0, 400_000)] * 5),
    hours=st.integers(0, 48),
)
def test_equals_genai_prices(which: tuple[str, str], counts: tuple[int, ...], hours: int) -> None:
    provider, model = which
    at = (AT - timedelta(hours=hours)).astimezone(timezone(timedelta(hours=2)))
    given_tokens, output = counts[0], counts[1]
    cached = min(counts[2], given_tokens)
    written = min(counts[3], given_tokens - cached)
    reasoning = min(counts[4], output)
    cost, _ = price(model, provider, Usage(given_tokens, output, cached, written, reasoning), at)
    if cost is None:
        return
    priced = PricedUsage(
        input_tokens=given_tokens,
        output_tokens=output,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_reasoning_tokens=reasoning,
    )
    expected = calc_price(priced, model, provider_id=provider, genai_request_timestamp=at).total_price
    assert cost == expected.quantize(Decimal("1e-12"))
