"""Running totals of exchanges on `penstock.usage.v1`, and snapshots of limits on `penstock.budgets.v1`."""

from decimal import Decimal
from typing import Literal

from pydantic import Field

from .events import Contract

TYPE_USAGE = "penstock.usage.v1"
TYPE_BUDGET = "penstock.budget.v1"
TYPE_POSITION = "penstock.meter-position.v1"
TYPE_RESPONSE = "penstock.response-charge.v1"


class Totals(Contract):
    """What an exchange has used so far: absolute and monotone until `final`, which is the settled figure."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    requests: int = 1


class Place(Contract):
    """Where a traffic event stands: what is found again after a repeat."""

    partition: int
    offset: int
    index: int


class UsageTotal(Contract):
    """One exchange's totals as one limit sees them. Kafka key: `limit id|scope`.

    Of one limit and scope, the records that come from one traffic partition rise by `place`; after a restart they are
    repeated from an earlier place on.
    """

    v: Literal[1] = 1
    limit_id: str
    scope: str = Field(description="the concrete scope, `team:research`")
    exchange_id: str
    started_at_us: int = Field(description="append time of the exchange's first frame: it chooses the window")
    seq: int = Field(description="last event counted in")
    seq_time_us: int = Field(description="when the tap received that event")
    place: Place = Field(description="where that event stands on the traffic topic")
    steps: list[tuple[int, int]] = Field(
        default_factory=list, description="receipt (µs) and output tokens after each event since the last record"
    )
    totals: Totals
    final: bool = False


class ExchangeShare(Contract):
    """The part of a running exchange in a budget snapshot."""

    totals: Totals
    seq_time_us: int
    killed: bool = False


class Mark(Contract):
    """The last record of one traffic partition that a budget contains."""

    offset: int
    index: int
    exchange_id: str


class BudgetSnapshot(Contract):
    """A limit's state in one window, with the usage offset that it contains. Kafka key:
    `limit id|scope|window|instance`; of several instances the highest `next_offset` holds (docs/decisions/0006).

    `settled` sums the exchanges that have ended; `running` holds the others. Usage records of `partition` from
    `next_offset` on are not contained.
    """

    v: Literal[1] = 1
    limit_id: str
    scope: str
    window: str = Field(
        description="`2026-11` for a month, `2026-11-24` for a day, `2026-11-24T05` for an hour, `total`, …"
    )
    ends_at_us: int | None = Field(default=None, description="the window's end; None: never")
    partition: int
    next_offset: int
    settled: Totals
    running: dict[str, ExchangeShare] = Field(default_factory=dict)
    blocked_epoch: int = Field(default=0, description="epoch of the standing decision that it is used up, or 0")
    applied: dict[int, Mark] = Field(
        default_factory=dict, description="per traffic partition: an exchange not running is new only after this place"
    )


class ResponseShare(Contract):
    """What one exchange was charged of a response that several may report."""

    exchange_id: str = ""
    made: bool = Field(default=False, description="this exchange made the response")
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class ResponseCharge(Contract):
    """What was charged of one background response. Kafka key: `response|upstream|response id|instance`; of several
    instances the record with most shares holds (docs/decisions/0016)."""

    v: Literal[1] = 1
    partition: int = Field(description="the traffic partition in which all its exchanges meet")
    upstream: str
    response_id: str
    model: str = Field(default="", description="the model asked for when it was made, as far as that was seen")
    shares: list[ResponseShare] = Field(default_factory=list, description="in the order in which they were charged")


class UnseenExchange(Contract):
    """A running exchange that began further back than the meter reads again."""

    tap: str
    epoch: int
    subject: str
    started_at_us: int
    seq: int
    heard_us: int = Field(default=0, description="append time of the last frame that spoke of it")


class MeterPosition(Contract):
    """How far the meter has settled one traffic partition. Kafka key: `position|partition|instance`.

    Everything before `next_offset` is counted and acknowledged. `open` names the exchanges that run there, with the
    offset of the frame that began each: reading from the smallest one on gives the meter its state again.
    """

    v: Literal[1] = 1
    partition: int
    next_offset: int
    open: dict[str, int] = Field(default_factory=dict)
    unseen: dict[str, UnseenExchange] = Field(default_factory=dict)
