"""Pure: the orders that a limit leads to.

Epochs come from the log, so the order of a repeated decision is the same one. Orders are signed where they are sent
(`outlet`); their reason is a sentence for the person whose request ends.
"""

from typing import Final

from penstock.schemas.control import Order
from penstock.schemas.policy import Limit

from .limits import Window

ISSUER: Final = "meter"
KILL_HOLDS_US: Final = 24 * 3_600_000_000
FOREVER_US: Final = 10 * 366 * 24 * 3_600_000_000

_UNITS: Final = {
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "total_tokens": "tokens",
    "cost_usd": "USD",
    "requests": "requests",
}
_WINDOWS: Final = {
    "minute": "per minute",
    "hour": "per hour",
    "day": "per day",
    "calendar_month": "per month",
    "total": "in all",
}


def kill_order(
    limit: Limit,
    limit_scope: str,
    window: Window,
    exchange_id: str,
    *,
    allowed_output_tokens: int,
    crossed_at_us: int,
    epoch: int,
    now_us: int,
) -> Order:
    """The order that ends one exchange because `limit` of `limit_scope` was passed."""
    scope = f"exchange:{exchange_id}"
    return Order(
        order_id=f"{ISSUER}/{limit.id}/{scope}/{epoch}",
        action="kill",
        scope=scope,
        issuer=ISSUER,
        rule=limit.id,
        reason=sentence(limit, limit_scope, window),
        epoch=epoch,
        issued_at_us=now_us,
        expires_at_us=now_us + KILL_HOLDS_US,
        retry_after_s=retry_after_s(window, now_us),
        limit_scope=limit_scope,
        crossed_at_us=crossed_at_us,
        allowed_output_tokens=allowed_output_tokens,
    )


def block_order(limit: Limit, scope: str, window: Window, *, crossed_at_us: int, epoch: int, now_us: int) -> Order:
    """The order that refuses new requests of `scope` until the window of `limit` ends."""
    return Order(
        order_id=f"{ISSUER}/{limit.id}/{scope}/{epoch}",
        action="block",
        scope=scope,
        issuer=ISSUER,
        rule=limit.id,
        reason=sentence(limit, scope, window),
        epoch=epoch,
        issued_at_us=now_us,
        expires_at_us=now_us + FOREVER_US if window.ends_at_us is None else window.ends_at_us,
        retry_after_s=retry_after_s(window, now_us),
        limit_scope=scope,
        crossed_at_us=crossed_at_us,
    )


def order_key(scope: str, limit_id: str) -> str:
    """The key under which the meter's order on `scope` stands: a tombstone there ends it."""
    return f"{scope}|{ISSUER}|{limit_id}|"


def retry_after_s(window: Window, now_us: int) -> int | None:
    """Seconds until the window ends, at least 1; None where it never does."""
    if window.ends_at_us is None:
        return None
    return max(1, -(-(window.ends_at_us - now_us) // 1_000_000))


def sentence(limit: Limit, scope: str, window: Window) -> str:
    """What was passed, in words: limit, amount, unit, scope, window."""
    kind, _, name = scope.partition(":")
    whom = "this exchange" if kind == "exchange" else f"{kind} {name}"
    when = "" if window.ends_at_us is None else f" (window {window.id})"
    amount = f"{limit.amount.normalize():f}"
    return f"limit {limit.id} is used up: {amount} {_UNITS[limit.unit]} {_WINDOWS[limit.window]} for {whom}{when}"
