"""Edge: who used how much, from the facts that were written at the end of each exchange."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from penstock.schemas.errors import UsageError
from penstock.schemas.settings import Settings

from .store import connect, store_errors

COLUMNS: Final = {
    "team": "team",
    "model": "model",
    "key": "key_id",
    "app": "app",
    "user": "user",
    "org": "org",
}
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LEAST_USD: Final = Decimal("0.000001")
_SPAN: Final = re.compile(r"([0-9]{1,6})([smhdw])")


@dataclass(frozen=True, slots=True)
class Spend:
    """What one group used. Tokens of kinds that are part of others stand beside them (OpenTelemetry GenAI)."""

    group: dict[str, str]
    requests: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    reported_tokens: int
    counted_tokens: int
    estimated_tokens: int
    cost_usd: Decimal | None
    unpriced: int
    lower_bound: int
    killed: int
    blocked: int

    @property
    def cost(self) -> str:
        """The cost for people: an unknown price is never a zero."""
        if self.cost_usd is None:
            return "unknown" if self.unpriced else "0"
        known = f"{self.cost_usd.quantize(_LEAST_USD).normalize():f}"
        if 0 < self.cost_usd < _LEAST_USD:
            known = f"< {_LEAST_USD:f}"
        return f"≥ {known} ({self.unpriced} unpriced)" if self.unpriced else known

    def share(self, tokens: int) -> str:
        """`tokens` as a share of all that were used: 0% only for none, 100% only for all."""
        total = self.input_tokens + self.output_tokens
        if not total:
            return "–"
        if 0 < tokens < total and not 1 <= 100 * tokens / total <= 99:
            return "< 1%" if 2 * tokens < total else "> 99%"
        return f"{100 * tokens / total:.0f}%"

    def to_json(self) -> dict[str, Any]:
        """JSON values; money as decimal text, null where no price is known."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "group"}
        return {**self.group, **values, "cost_usd": None if self.cost_usd is None else f"{self.cost_usd:f}"}


def read_spend(settings: Settings, by: list[str], since: datetime | None) -> list[Spend]:
    """The use of each group that `by` distinguishes, dearest first. Exchanges are taken by when they started."""
    unknown = [name for name in by if name not in COLUMNS]
    if unknown or not by:
        raise UsageError(f"--by takes {', '.join(COLUMNS)}, not {', '.join(unknown) or 'nothing'}")
    groups = ", ".join(f"`{COLUMNS[name]}`" for name in by)
    where = "1" if since is None else f"started_at >= fromUnixTimestamp64Micro({int(since.timestamp() * 1_000_000)})"
    client = connect(settings, "reader")
    try:
        with store_errors():
            rows = client.query(
                f"SELECT {groups}, {_SUMS} {_FROM} WHERE {where} GROUP BY {groups} {_ORDER}"
            ).result_rows
    finally:
        client.close()
    return [Spend(dict(zip(by, map(str, row), strict=False)), *row[len(by) :]) for row in rows]


_SUMS: Final = """
    count(), sum(input_tokens), sum(output_tokens), sum(cached_tokens), sum(cache_write_tokens), sum(reasoning_tokens),
    sumIf(input_tokens + output_tokens, usage_source = 'reported'),
    sumIf(input_tokens + output_tokens, usage_source = 'counted'),
    sumIf(input_tokens + output_tokens, usage_source = 'estimated'),
    sum(cost_usd) AS cost, countIf(cost_usd IS NULL AND input_tokens + output_tokens > 0), countIf(lower_bound),
    countIf(outcome = 'killed'), countIf(outcome = 'blocked')
"""
_FROM: Final = "FROM penstock.exchange_facts FINAL"
_ORDER: Final = "ORDER BY cost DESC NULLS LAST, sum(output_tokens) DESC, count() DESC"


def read_since(text: str, now: datetime) -> datetime:
    """`90s`, `15m`, `6h`, `1d`, `2w` before `now`, or a date or time in ISO 8601 (UTC where it has no offset)."""
    span = _SPAN.fullmatch(text)
    if span:
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--since {text!r}: write 15m, 6h, 1d, 2w, or a date such as 2026-11-24") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
