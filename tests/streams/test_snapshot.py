"""A budget survives its snapshot, and the snapshot that contains most holds."""

from penstock.schemas.records import write_record
from penstock.schemas.usage import TYPE_BUDGET, TYPE_POSITION, BudgetSnapshot, MeterPosition
from penstock.streams.budget import Budget
from penstock.streams.limits import Window, window_of
from penstock.streams.snapshot import (
    KEEP_AFTER_END_US,
    KEEP_IDLE_US,
    from_snapshot,
    furthest,
    newest,
    read_state,
    retired,
    snapshot_key,
    to_snapshot,
)

from .scripts import T0_US, limit
from .test_budget import total

DAY = limit(window="day", amount=10)


def kept(records: int) -> Budget:
    budget = Budget(DAY, "team:research", window_of(DAY, T0_US))
    for offset in range(records):
        budget.apply(total(f"e{offset}", offset, 4, final=offset % 2 == 0, partition=offset % 3), offset, offset + 1)
    return budget


def test_a_budget_is_the_same_after_its_snapshot() -> None:
    budget = kept(7)
    snapshot = BudgetSnapshot.model_validate_json(to_snapshot(budget, 3).model_dump_json())
    assert from_snapshot(snapshot, DAY) == budget
    assert budget.epoch == 3
    assert snapshot.partition == 3


def test_of_several_instances_the_one_that_contains_most_holds() -> None:
    late, early = to_snapshot(kept(5), 0), to_snapshot(kept(3), 0)
    for order in ([late, early], [early, late]):
        assert list(newest(order).values()) == [late]
    assert snapshot_key(late, "meter-0") != snapshot_key(late, "meter-1")


def test_the_furthest_position_holds() -> None:
    assert furthest([]) is None
    positions = [MeterPosition(partition=0, next_offset=offset) for offset in (3, 9, 4)]
    assert furthest(positions) == positions[1]


def test_a_window_is_kept_as_long_as_its_traffic() -> None:
    window = window_of(DAY, T0_US)
    assert window.ends_at_us is not None
    for idle, keep_us in ((False, KEEP_AFTER_END_US), (True, KEEP_IDLE_US)):
        assert not retired(window, window.ends_at_us + keep_us, idle=idle)
        assert retired(window, window.ends_at_us + keep_us + 1, idle=idle)
        assert not retired(Window("total", None), 2**60, idle=idle)


def test_what_no_meter_wrote_is_no_state() -> None:
    record = write_record(to_snapshot(kept(3), 0), id="i", type=TYPE_BUDGET, source="/m", subject="s", time_us=T0_US)
    assert read_state(record.value, record.headers(), TYPE_BUDGET, BudgetSnapshot) is not None
    assert read_state(record.value, record.headers(), TYPE_POSITION, MeterPosition) is None
    assert read_state(b"{", record.headers(), TYPE_BUDGET, BudgetSnapshot) is None
    assert read_state(record.value, [], TYPE_BUDGET, BudgetSnapshot) is None
