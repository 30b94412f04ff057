"""Pure: a budget as a record of `penstock.budgets.v1`, and back.

Every instance writes under a key of its own, so one that was paused and wakes up late overwrites nobody's newer state;
of all records the one that contains most of the usage topic holds.
"""

from collections.abc import Iterable
from typing import Final, TypeVar

import structlog

from penstock.schemas.errors import ContractError
from penstock.schemas.policy import Limit
from penstock.schemas.records import Headers, read_record, read_value
from penstock.schemas.usage import BudgetSnapshot, ExchangeShare, Mark, MeterPosition, ResponseCharge

from .budget import Budget, Share
from .limits import Window, matches, window_of

KEEP_AFTER_END_US: Final = 72 * 3_600_000_000
"""As long as traffic is kept: until then a frame of an exchange that still runs may be read again."""
KEEP_IDLE_US: Final = 3_600_000_000
"""As long where none runs: a minute's window is of no use for days, and there are many of them."""

State = TypeVar("State", BudgetSnapshot, MeterPosition, ResponseCharge)
_log = structlog.get_logger("penstock.streams.snapshot")


def to_snapshot(budget: Budget, partition: int) -> BudgetSnapshot:
    """The whole state of `budget`, whose usage records lie in `partition`."""
    return BudgetSnapshot(
        limit_id=budget.limit.id,
        scope=budget.scope,
        window=budget.window.id,
        ends_at_us=budget.window.ends_at_us,
        partition=partition,
        next_offset=budget.next_offset,
        settled=budget.settled,
        running={
            name: ExchangeShare(totals=share.totals, seq_time_us=share.seq_time_us, killed=share.killed)
            for name, share in budget.running.items()
        },
        blocked_epoch=budget.epoch,
        applied={
            number: Mark(offset=offset, index=index, exchange_id=name)
            for number, (offset, index, name) in budget.applied.items()
        },
    )


def from_snapshot(snapshot: BudgetSnapshot, limit: Limit) -> Budget:
    """The budget that `snapshot` describes."""
    return Budget(
        limit=limit,
        scope=snapshot.scope,
        window=Window(snapshot.window, snapshot.ends_at_us),
        next_offset=snapshot.next_offset,
        epoch=snapshot.blocked_epoch,
        settled=snapshot.settled,
        running={
            name: Share(share.totals, share.seq_time_us, share.killed) for name, share in snapshot.running.items()
        },
        applied={number: (mark.offset, mark.index, mark.exchange_id) for number, mark in snapshot.applied.items()},
    )


def snapshot_key(snapshot: BudgetSnapshot, instance: str) -> str:
    """The Kafka key of `snapshot` as `instance` writes it."""
    return f"{snapshot.limit_id}|{snapshot.scope}|{snapshot.window}|{instance}"


def position_key(partition: int, instance: str) -> str:
    """The Kafka key of a traffic partition's position as `instance` writes it."""
    return f"position|{partition}|{instance}"


def response_key(charge: ResponseCharge, instance: str) -> str:
    """The Kafka key of `charge` as `instance` writes it."""
    return f"response|{charge.upstream}|{charge.response_id}|{instance}"


def newest(snapshots: Iterable[BudgetSnapshot]) -> dict[tuple[str, str, str], BudgetSnapshot]:
    """By (limit id, scope, window), the snapshot that contains most."""
    found: dict[tuple[str, str, str], BudgetSnapshot] = {}
    for snapshot in snapshots:
        key = (snapshot.limit_id, snapshot.scope, snapshot.window)
        if key not in found or snapshot.next_offset > found[key].next_offset:
            found[key] = snapshot
    return found


def furthest(positions: Iterable[MeterPosition]) -> MeterPosition | None:
    """The position that has settled most; None where there is none."""
    return max(positions, key=lambda position: position.next_offset, default=None)


def retired(window: Window, now_us: int, *, idle: bool) -> bool:
    """Whether nothing that matters can count towards `window` any more, so that its records may go. `idle`: no exchange
    of it runs. What is counted in a window that is over blocks nobody."""
    return window.is_over(now_us - (KEEP_IDLE_US if idle else KEEP_AFTER_END_US) - 1)


def is_of(snapshot: BudgetSnapshot, limit: Limit) -> bool:
    """Whether `limit`, as the policy has it now, still keeps the budget of `snapshot`: same scopes, same windows."""
    if not matches(limit.scope, snapshot.scope):
        return False
    window = Window(snapshot.window, snapshot.ends_at_us)
    return window == window_of(limit, 0 if window.ends_at_us is None else window.ends_at_us - 1)


def read_state(value: bytes, headers: Headers, kind: str, model: type[State]) -> State | None:
    """The state of `kind` in a record of `penstock.budgets.v1`; None for one of another kind, and for what no meter has
    written: that must not stop all counting."""
    try:
        return read_value(model, value) if read_record(value, headers).type == kind else None
    except ContractError as error:
        _log.error("state not read", kind=kind, error=str(error))
        return None
