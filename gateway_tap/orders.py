"""Pure: the standing orders, and what they mean for a new request and for a running exchange.

Orders hold together: a scope is open when no live order closes it. Per key of the topic the highest epoch counts; what
an older epoch says is ignored, also after a tombstone, so that a replay is harmless.
"""

from dataclasses import dataclass
from typing import Final

from penstock.schemas.control import Order
from penstock.schemas.events import AppliedOrder

CLOSING: Final = frozenset({"block", "revoke"})


@dataclass(frozen=True, slots=True)
class Standing:
    """An order as this tap holds it."""

    order: Order
    received_at_us: int

    def applied(self, applied_at_us: int, *, observed: bool = False) -> AppliedOrder:
        """What an exchange's completion says of it."""
        order = self.order
        return AppliedOrder(
            order_id=order.order_id,
            scope=order.limit_scope or order.scope,
            limit_id=order.rule,
            reason=order.reason,
            epoch=order.epoch,
            decided_at_us=order.issued_at_us,
            received_at_us=self.received_at_us,
            applied_at_us=applied_at_us,
            crossed_at_us=order.crossed_at_us,
            allowed_output_tokens=order.allowed_output_tokens,
            observed=observed,
        )

    def retry_after_s(self, now_us: int) -> int:
        """Seconds after which a new request may succeed, at least 1."""
        if self.order.retry_after_s is not None:
            return max(1, self.order.retry_after_s)
        return max(1, -(-(self.order.expires_at_us - now_us) // 1_000_000))


class Orders:
    """Live orders of one tap, by key and by scope."""

    def __init__(self, tap: str) -> None:
        self._tap = tap
        self._live: dict[str, Standing] = {}
        self._closed: dict[str, dict[str, Standing]] = {}
        self._epochs: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._live)

    def live(self) -> list[Order]:
        """The orders that hold."""
        return [standing.order for standing in self._live.values()]

    def apply(self, order: Order, now_us: int) -> Standing | None:
        """Takes in an order whose MAC was checked. None where it changes nothing here: it is of an older epoch, has
        expired, or is meant for another tap."""
        key = order.key
        epoch, _ = self._epochs.get(key, (-1, 0))
        if order.epoch < epoch or order.target_tap not in ("", self._tap):
            return None
        self._drop(key)
        self._epochs[key] = (order.epoch, order.expires_at_us)
        if order.expires_at_us <= now_us:
            return None
        standing = Standing(order, now_us)
        self._live[key] = standing
        if order.action in CLOSING:
            self._closed.setdefault(order.scope, {})[key] = standing
        return standing

    def lift(self, key: str) -> None:
        """A tombstone: the order of `key` holds no more."""
        self._drop(key)

    def closing(self, scopes: list[str], now_us: int) -> Standing | None:
        """The order that refuses a new request of `scopes`: the one that holds longest; None where all are open."""
        if not self._closed:
            return None
        found = [
            standing
            for scope in scopes
            for standing in self._closed.get(scope, {}).values()
            if standing.order.expires_at_us > now_us
        ]
        return max(found, key=lambda standing: standing.order.expires_at_us, default=None)

    def expire(self, now_us: int) -> None:
        """Forgets what has expired."""
        for key in [key for key, standing in self._live.items() if standing.order.expires_at_us <= now_us]:
            self._drop(key)
        for key in [key for key, (_, expires_at_us) in self._epochs.items() if expires_at_us <= now_us]:
            del self._epochs[key]

    def _drop(self, key: str) -> None:
        standing = self._live.pop(key, None)
        if standing is None:
            return
        scope = standing.order.scope
        holding = self._closed.get(scope, {})
        holding.pop(key, None)
        if not holding:
            self._closed.pop(scope, None)
