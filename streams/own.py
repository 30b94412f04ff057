"""Pure: the limits on single exchanges, judged where the exchange is counted, at the very event that passes them."""

from collections.abc import Iterable
from decimal import Decimal

from penstock.schemas.usage import Totals

from .budget import NOTHING_USED, Kill, allowed_output_tokens
from .limits import Applied, used


class OwnLimits:
    """The limits of scope `exchange:…` of one exchange; each is passed once. `left` are not passed yet, `killed` are
    the hard ones that led to an order."""

    def __init__(self, exchange_id: str, limits: Iterable[Applied]) -> None:
        self.left = list(limits)
        self.killed: list[Applied] = []
        self._exchange_id = exchange_id
        self._before = NOTHING_USED

    @property
    def priced(self) -> bool:
        """Whether any limit still to be passed is on cost."""
        return any(applied.limit.unit == "cost_usd" for applied in self.left)

    def judge(self, after: Totals, time_us: int, *, over: bool) -> list[tuple[Applied, Kill | None]]:
        """The limits that the totals `after` the event at `time_us` pass; with a kill that says what each had still
        allowed, where it is hard and the exchange is not `over`."""
        before, self._before = self._before, after
        found: list[tuple[Applied, Kill | None]] = []
        for applied in [*self.left]:
            unit, amount = applied.limit.unit, applied.limit.amount
            if used(unit, after) <= amount:
                continue
            self.left.remove(applied)
            if over or applied.limit.kind == "soft":
                found.append((applied, None))
                continue
            remaining = max(amount - used(unit, before), Decimal(0))
            allowed = allowed_output_tokens(unit, remaining, before, after)
            found.append((applied, Kill(self._exchange_id, allowed, time_us)))
            self.killed.append(applied)
        return found
