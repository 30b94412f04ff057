"""Pure: one limit in one window. Totals of exchanges go in; what was crossed, and whom to end, comes out.

State is a function of the usage records alone, in their order: a record seen twice, a restart from any earlier offset,
or totals repeated by the counting agent change nothing (docs/decisions/0006).
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from penstock.schemas.policy import Limit, Unit
from penstock.schemas.usage import Totals, UsageTotal

from .limits import ADMISSION_UNITS, Window, used

NOTHING_USED: Final = Totals(requests=0)


@dataclass(slots=True)
class Share:
    """What one running exchange has used."""

    totals: Totals
    seq_time_us: int
    killed: bool = False


@dataclass(frozen=True, slots=True)
class Kill:
    """An exchange to end: it may have given `allowed_output_tokens` when the limit was passed."""

    exchange_id: str
    allowed_output_tokens: int
    crossed_at_us: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What one usage record led to. `used_up` and `reopened` are edges: each is said once when it becomes so."""

    used_up: bool = False
    reopened: bool = False
    kills: tuple[Kill, ...] = ()
    ended: str = ""
    """A killed exchange that has now ended: its order has done its work."""


NOTHING: Final = Decision()


@dataclass(slots=True)
class Budget:
    """A limit's state for one concrete scope in one window.

    `settled` sums ended exchanges, `running` holds the others. `applied` is, per traffic partition, the highest place
    that was taken in: a record of an exchange that does not run here is news only beyond it, so a final figure counts
    once however often it is repeated. `epoch` is the standing decision that the limit is used up, or 0.
    """

    limit: Limit
    scope: str
    window: Window
    next_offset: int = 0
    epoch: int = 0
    settled: Totals = NOTHING_USED
    running: dict[str, Share] = field(default_factory=dict)
    applied: dict[int, tuple[int, int, str]] = field(default_factory=dict)
    used: Decimal = field(init=False)
    """What the limit has seen used so far, in its unit."""

    def __post_init__(self) -> None:
        unit = self.limit.unit
        running = (used(unit, share.totals) for share in self.running.values())
        self.used = used(unit, self.settled) + sum(running, Decimal(0))

    @property
    def unused(self) -> bool:
        """Nothing was used and nothing runs: a new budget would be the same."""
        return not self.used and not self.running and not self.epoch

    def apply(self, record: UsageTotal, offset: int, epoch: int) -> Decision:
        """Takes in the usage record at `offset`. `epoch` numbers a decision that it may lead to: it must grow with
        offsets and be the same after a repeat (the record's append time)."""
        if offset < self.next_offset:
            return NOTHING
        self.next_offset = offset + 1
        share = self.running.get(record.exchange_id)
        place = (record.place.offset, record.place.index, record.exchange_id)
        known = self.applied.get(record.place.partition)
        if share is None and known is not None and place <= known:
            return NOTHING
        self.applied[record.place.partition] = place if known is None else max(known, place)
        before = share.totals if share else NOTHING_USED
        after = self._take(record, share)
        used_before = self.used
        self.used += used(self.limit.unit, after) - used(self.limit.unit, before)
        decision = self._judge(record, before, after, used_before, epoch)
        return replace(decision, ended=record.exchange_id) if record.final and share and share.killed else decision

    def _take(self, record: UsageTotal, share: Share | None) -> Totals:
        if record.final:
            self.running.pop(record.exchange_id, None)
            self.settled = added(self.settled, record.totals)
            return record.totals
        after = grown(share.totals, record.totals) if share else record.totals
        self.running[record.exchange_id] = Share(after, record.seq_time_us, share.killed if share else False)
        return after

    def _judge(self, record: UsageTotal, before: Totals, after: Totals, used_before: Decimal, epoch: int) -> Decision:
        now, amount = self.used, self.limit.amount
        used_up = now >= amount and not self.epoch
        reopened = now < amount and self.epoch != 0
        if used_up:
            self.epoch = epoch
        elif reopened:
            self.epoch = 0
        kills: tuple[Kill, ...] = ()
        if now > amount and self.limit.kind == "hard":
            kills = self._kills(record, before, after, amount - used_before)
        return Decision(used_up, reopened, kills)

    def _kills(self, record: UsageTotal, before: Totals, after: Totals, remaining: Decimal) -> tuple[Kill, ...]:
        unit = self.limit.unit
        allowed = allowed_output_tokens(unit, max(remaining, Decimal(0)), before, after)
        crossed_at_us = crossing_time(record, allowed)
        victims = dict(self.running)
        if unit in ADMISSION_UNITS:
            added_more = used(unit, after) > used(unit, before)
            victims = {name: share for name, share in victims.items() if name == record.exchange_id and added_more}
        kills = []
        for name, share in victims.items():
            if not share.killed:
                share.killed = True
                given = allowed if name == record.exchange_id else share.totals.output_tokens
                kills.append(Kill(name, given, crossed_at_us))
        return tuple(kills)


def allowed_output_tokens(unit: Unit, remaining: Decimal, before: Totals, after: Totals) -> int:
    """Output tokens that an exchange may have when `remaining` of a limit is left, as its totals go from `before` to
    `after`. Input is used up first; cost is taken to grow evenly between the two."""
    more = after.output_tokens - before.output_tokens
    if unit == "output_tokens":
        share = int(remaining)
    elif unit == "total_tokens":
        share = int(remaining) - (after.input_tokens - before.input_tokens)
    elif unit == "cost_usd" and after.cost_usd > before.cost_usd:
        share = int(more * remaining / (after.cost_usd - before.cost_usd))
    else:
        share = 0
    return before.output_tokens + min(max(share, 0), max(more, 0))


def crossing_time(record: UsageTotal, allowed: int) -> int:
    """When the tap had the first event that went beyond `allowed` output tokens."""
    return next((time_us for time_us, tokens in record.steps if tokens > allowed), record.seq_time_us)


def added(one: Totals, other: Totals) -> Totals:
    """The sum, member by member."""
    return Totals(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cost_usd=one.cost_usd + other.cost_usd,
        requests=one.requests + other.requests,
    )


def grown(one: Totals, other: Totals) -> Totals:
    """The greater, member by member: running totals never shrink."""
    return Totals(
        input_tokens=max(one.input_tokens, other.input_tokens),
        output_tokens=max(one.output_tokens, other.output_tokens),
        cost_usd=max(one.cost_usd, other.cost_usd),
        requests=max(one.requests, other.requests),
    )
