"""Pure: which limits of the policy an exchange falls under, and which window a moment belongs to."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final
from zoneinfo import ZoneInfo

from penstock.schemas.events import Identity
from penstock.schemas.policy import Limit, Unit
from penstock.schemas.usage import Totals

ADMISSION_UNITS: Final[frozenset[Unit]] = frozenset({"requests", "input_tokens"})
"""Used up by admitting an exchange: what already runs uses no more of them."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Applied:
    """A limit, and the concrete scope for which it applies (`team:research` for a limit on `team:*`)."""

    limit: Limit
    scope: str

    @property
    def key(self) -> str:
        """The Kafka key of its usage records."""
        return f"{self.limit.id}|{self.scope}"

    @property
    def of_exchange(self) -> bool:
        return self.scope.startswith("exchange:")


@dataclass(frozen=True, slots=True)
class Window:
    """One window of a limit. `ends_at_us` None: it never ends."""

    id: str
    ends_at_us: int | None

    def is_over(self, now_us: int) -> bool:
        """Whether it has ended by now."""
        return self.ends_at_us is not None and self.ends_at_us <= now_us


def scopes_of(identity: Identity, model: str, exchange_id: str) -> tuple[str, ...]:
    """The scopes that an exchange belongs to: what it is charged to, the model asked for, and itself."""
    named = (
        ("org", identity.org),
        ("team", identity.team),
        ("app", identity.app),
        ("user", identity.user),
        ("sa", identity.service_account),
        ("key", identity.key_id),
        ("model", model),
        ("exchange", exchange_id),
    )
    return tuple(f"{kind}:{name}" for kind, name in named if name)


def applying(limits: Iterable[Limit], scopes: Iterable[str]) -> tuple[Applied, ...]:
    """The limits that apply, each with its concrete scope. `*` in a limit's id matches within one kind alone, and each
    match has a limit of its own."""
    concrete = tuple(scopes)
    return tuple(Applied(limit, scope) for limit in limits for scope in concrete if matches(limit.scope, scope))


def matches(pattern: str, scope: str) -> bool:
    """Whether the limit scope `pattern` covers the concrete `scope`."""
    wanted, _, name = pattern.partition(":")
    kind, _, found = scope.partition(":")
    return wanted == kind and (name == found or ("*" in name and fnmatchcase(found, _literal(name))))


def used(unit: Unit, totals: Totals) -> Decimal:
    """What `totals` use of a limit in `unit`."""
    if unit == "cost_usd":
        return totals.cost_usd
    if unit == "input_tokens":
        return Decimal(totals.input_tokens)
    if unit == "output_tokens":
        return Decimal(totals.output_tokens)
    if unit == "total_tokens":
        return Decimal(totals.input_tokens + totals.output_tokens)
    return Decimal(totals.requests)


def window_of(limit: Limit, time_us: int) -> Window:
    """The window of `limit` that holds the moment `time_us`, in the limit's time zone.

    Outside UTC the ids of minutes and hours carry their offset: an hour that is lived through twice is two windows.
    """
    if limit.window == "total":
        return Window("total", None)
    zone = ZoneInfo(limit.timezone)
    local = (_EPOCH + timedelta(microseconds=time_us)).astimezone(zone)
    if limit.window == "calendar_month":
        following = local.replace(day=28, hour=0, minute=0, second=0, microsecond=0, fold=0) + timedelta(days=4)
        return Window(f"{local:%Y-%m}", _us(following.replace(day=1)))
    if limit.window == "day":
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        return Window(f"{local:%Y-%m-%d}", _us(midnight + timedelta(days=1)))
    offset = "" if limit.timezone == "UTC" else f"{local:%z}"
    into_minute = timedelta(seconds=local.second, microseconds=local.microsecond)
    if limit.window == "hour":
        start_us = time_us - (into_minute + timedelta(minutes=local.minute)) // timedelta(microseconds=1)
        return Window(f"{local:%Y-%m-%dT%H}{offset}", start_us + 3_600_000_000)
    start_us = time_us - into_minute // timedelta(microseconds=1)
    return Window(f"{local:%Y-%m-%dT%H:%M}{offset}", start_us + 60_000_000)


def _literal(name: str) -> str:
    """`name` as a pattern in which `*` alone is special."""
    return name.replace("[", "[[]").replace("?", "[?]")


def _us(local: datetime) -> int:
    return (local.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
