"""What tokens cost on a given day, from the prices inside the genai-prices wheel (MIT); never from the network.

List prices: discounts, batch and priority tiers, and tools that are billed by the call are not known here.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Final

from genai_prices import calc_price
from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.types import TieredPrices
from genai_prices.types import Usage as PricedUsage

from .usage import Usage

_MILLION: Final = 1_000_000
_PLACES: Final = Decimal("1e-12")

_ALIASES: Final = {
    "azure": "azure",
    "bedrock": "aws",
    "aws": "aws",
    "vertex": "google",
    "gemini": "google",
    "google": "google",
    "xai": "x-ai",
    "grok": "x-ai",
    "moonshot": "moonshotai",
    "kimi": "moonshotai",
    "voyage": "voyageai",
    "zhipu": "zhipuai",
    "copilot": "github-copilot",
    "together": "together",
    "openrouter": "openrouter",
    "fireworks": "fireworks",
    "groq": "groq",
    "cerebras": "cerebras",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "cohere": "cohere",
    "anthropic": "anthropic",
    "claude": "anthropic",
    "openai": "openai",
}
"""Words of an upstream's name, the more telling first (`azure-openai` is Azure), and the provider they mean."""

_MAKERS: Final = (
    (re.compile(r"^(?:gpt-(?!oss)|chatgpt-|o[134](?:$|-)|codex-|text-embedding-(?:3|ada)|davinci-002)"), "openai"),
    (re.compile(r"^claude"), "anthropic"),
    (re.compile(r"^gemini"), "google"),
    (re.compile(r"^grok"), "x-ai"),
)
"""Models that are sold at their maker's price wherever they are sold. Open weights are not among them."""


@dataclass(frozen=True, slots=True)
class _Rates:
    """USD for a million tokens; `linear` where a price is no more than the sum of these."""

    source: str
    fresh: Decimal
    cached: Decimal
    written: Decimal
    output: Decimal
    reasoning: Decimal
    linear: bool


def price(
    model: str,
    upstream: str,
    usage: Usage,
    at: datetime,
    dialect: str = "",
) -> tuple[Decimal | None, str]:
    """Cost in USD and its source (`genai-prices 0.2.3 openai/gpt-4o`).

    (None, "") where no price is known for the model: never a guess. The provider is the one that the upstream's
    configured name names (`openai`, `azure-prod`); under any other name only models that their maker alone prices have
    one. `dialect` "ollama" and "opaque" are never priced under such a name. `at` chooses the price of the day.
    """
    seller = seller_of(model, upstream, dialect)
    if seller is None:
        return None, ""
    provider, name = seller
    moment = at.astimezone(UTC).replace(second=0, microsecond=0)
    rates = _rates(provider, name, moment)
    if rates is None:
        return None, ""
    parts = _Parts.of(usage)
    cost = _linear(rates, parts) if rates.linear else _calculated(provider, name, moment, parts)
    return cost.quantize(_PLACES).normalize() + 0, rates.source


def seller_of(model: str, upstream: str, dialect: str = "") -> tuple[str, str] | None:
    """The genai-prices id of who sells `model` behind an upstream of that name, and the model's name there.

    None where nothing tells. A prefix (`openai/gpt-4o`) is dropped where the maker alone decides.
    """
    named, name = _named(upstream.lower()), model.lower()
    if named is not None and name:
        return named, name
    if dialect in ("ollama", "opaque"):
        return None
    bare = name.rpartition("/")[2]
    return next(((maker, bare) for shape, maker in _MAKERS if shape.match(bare)), None)


@cache
def _named(upstream: str) -> str | None:
    if any(provider.id == upstream for provider in get_snapshot().providers):
        return upstream
    alias = next((provider for word, provider in _ALIASES.items() if word in re.split(r"[^a-z]+", upstream)), None)
    if alias is not None:
        return alias
    found = find_provider_by_id(get_snapshot().providers, upstream)
    return found.id if found else None


@dataclass(frozen=True, slots=True)
class _Parts:
    """Tokens by kind, each kind contained in its whole: a provider that reports more of a part is not believed."""

    given: int
    cached: int
    written: int
    output: int
    reasoning: int

    @classmethod
    def of(cls, usage: Usage) -> "_Parts":
        given, output = usage.input_tokens or 0, usage.output_tokens or 0
        cached = min(usage.cached_tokens or 0, given)
        written = min(usage.cache_write_tokens or 0, given - cached)
        return cls(given, cached, written, output, min(usage.reasoning_tokens or 0, output))


_PROBE: Final = _Parts(given=7_000, cached=2_000, written=1_000, output=900, reasoning=300)


def _linear(rates: _Rates, parts: _Parts) -> Decimal:
    fresh = parts.given - parts.cached - parts.written
    total = fresh * rates.fresh + parts.cached * rates.cached + parts.written * rates.written
    total += (parts.output - parts.reasoning) * rates.output + parts.reasoning * rates.reasoning
    return total / _MILLION


def _calculated(provider: str, model: str, moment: datetime, parts: _Parts) -> Decimal:
    usage = PricedUsage(
        input_tokens=parts.given,
        cache_read_tokens=parts.cached,
        cache_write_tokens=parts.written,
        output_tokens=parts.output,
        output_reasoning_tokens=parts.reasoning,
    )
    return calc_price(usage, model, provider_id=provider, genai_request_timestamp=moment).total_price


@lru_cache(maxsize=4096)
def _rates(provider: str, model: str, moment: datetime) -> _Rates | None:
    """The rates of one minute (some providers are cheaper at night), found by pricing a million tokens of each kind."""
    try:
        found = calc_price(PricedUsage(), model, provider_id=provider, genai_request_timestamp=moment)
    except LookupError:
        return None
    prices = {name: value for name, value in vars(found.model_price).items() if value is not None}
    if not any(name.startswith(("input_", "output_")) for name in prices):
        return None

    def million(given: int, cached: int, written: int, output: int, reasoning: int) -> Decimal:
        return _calculated(provider, model, moment, _Parts(given, cached, written, output, reasoning))

    rates = _Rates(
        source=f"genai-prices {version('genai-prices')} {found.provider.id}/{found.model.id}",
        fresh=million(_MILLION, 0, 0, 0, 0),
        cached=million(_MILLION, _MILLION, 0, 0, 0),
        written=million(_MILLION, 0, _MILLION, 0, 0),
        output=million(0, 0, 0, _MILLION, 0),
        reasoning=million(0, 0, 0, _MILLION, _MILLION),
        linear=not any(isinstance(value, TieredPrices) for value in prices.values()),
    )
    sum_of_all = _linear(rates, _PROBE) == _calculated(provider, model, moment, _PROBE)
    return rates if sum_of_all else replace(rates, linear=False)
