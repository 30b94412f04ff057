"""Running totals of exchanges on `penstock.usage.v1`, and snapshots of limits on `penstock.budgets.v1`."""

from decimal import Decimal
from typing import Literal

from pydantic import Field

from .events import Contract

TYPE_USAGE = "penstock.usage.v1"
TYPE_BUDGET = "penstock.budget.v1"


class Totals(Contract):
    """What an exchange has used so far: absolute and monotone until `final`, which is the settled figure."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    requests: int = 1


class UsageTotal(Contract):
    """One exchange's totals as one limit sees them. Kafka key: `limit id|scope`."""

    v: Literal[1] = 1
    limit_id: str
    scope: str = Field(description="the concrete scope, `team:research`")
    exchange_id: str
    started_at_us: int = Field(description="append time of the exchange's first frame: it chooses the window")
    seq: int = Field(description="last event counted in")
    seq_time_us: int = Field(description="when the tap received that event")
    totals: Totals
    final: bool = False


class ExchangeShare(Contract):
    """The part of a running exchange in a budget snapshot."""

    totals: Totals
    seq_time_us: int
    killed: bool = False


class BudgetSnapshot(Contract):
    """A limit's state in one window, with the usage offset that it contains. Kafka key: `limit id|scope|window`.

    `settled` sums the exchanges that have ended; `running` holds the others. Usage records of `partition` from
    `next_offset` on are not contained.
    """

    v: Literal[1] = 1
    limit_id: str
    scope: str
    window: str = Field(
        description="`2026-11` for a month, `2026-11-24` for a day, `2026-11-24T05` for an hour, `total`, …"
    )
    partition: int
    next_offset: int
    settled: Totals
    running: dict[str, ExchangeShare] = Field(default_factory=dict)
    blocked_epoch: int = 0
    recent_final: list[str] = Field(
        default_factory=list, description="exchanges settled lately: a repeated final is not added twice"
    )
