"""A ledger keeps each window apart, says orders and violations together, and is restored from the newest snapshots."""

from decimal import Decimal

import pytest

from penstock.schemas import topics
from penstock.schemas.control import Order
from penstock.schemas.policy import Limit
from penstock.schemas.usage import Place, Totals, UsageTotal
from penstock.schemas.violations import Violation
from penstock.streams.ledger import Ledger
from penstock.streams.limits import window_of
from penstock.streams.snapshot import KEEP_AFTER_END_US, KEEP_IDLE_US

from .scripts import T0_US, limit, rules

DAY_US = 86_400_000_000
DAY = limit(id="day", window="day", amount=10)
SOFT = limit(id="soft", kind="soft", amount=10)


def total(
    name: str, at: int, output: int, *, limit_id: str = "day", born_us: int = T0_US, final: bool = False
) -> UsageTotal:
    return UsageTotal(
        limit_id=limit_id,
        scope="team:research",
        exchange_id=name,
        started_at_us=born_us,
        seq=at,
        seq_time_us=born_us + at,
        place=Place(partition=0, offset=at, index=0),
        totals=Totals(output_tokens=output, cost_usd=Decimal(0)),
        final=final,
    )


def test_a_crossing_says_the_orders_first_and_of_those_the_block() -> None:
    said = Ledger(0, rules(DAY)).apply(total("a", 1, 12), 0, T0_US + 5, T0_US + 9)
    assert [emission.topic for emission in said] == [
        topics.CONTROL,
        topics.CONTROL,
        topics.VIOLATIONS["budget"],
        topics.AUDIT,
        topics.AUDIT,
    ]
    block, kill = said[0].model, said[1].model
    assert isinstance(kill, Order) and isinstance(block, Order)
    assert (kill.scope, kill.epoch, kill.issued_at_us) == ("exchange:a", T0_US + 5, T0_US + 9)
    assert (block.scope, block.action, block.expires_at_us) == (
        "team:research",
        "block",
        window_of(DAY, T0_US).ends_at_us,
    )
    violation = said[2].model
    assert isinstance(violation, Violation)
    assert (violation.exchange_id, violation.action, violation.severity) == ("a", "block", "high")


def test_a_soft_limit_says_a_violation_alone() -> None:
    said = Ledger(0, rules(SOFT)).apply(total("a", 1, 12, limit_id="soft"), 0, T0_US, T0_US)
    assert [emission.topic for emission in said] == [topics.VIOLATIONS["budget"]]
    assert Ledger(0, rules(DAY)).apply(total("a", 1, 12, limit_id="gone"), 0, T0_US, T0_US) == []


def test_windows_go_by_the_beginning_of_the_exchange() -> None:
    ledger = Ledger(0, rules(DAY))
    assert ledger.apply(total("a", 1, 8), 0, T0_US, T0_US) == []
    assert ledger.apply(total("b", 2, 8, born_us=T0_US + DAY_US), 1, T0_US, T0_US) == []
    assert ledger.apply(total("a", 3, 9, born_us=T0_US + DAY_US), 2, T0_US, T0_US) == []
    assert {snapshot.window: snapshot.running.keys() for snapshot in ledger.changed()} == {
        window_of(DAY, T0_US).id: {"a"},
        window_of(DAY, T0_US + DAY_US).id: {"b"},
    }
    assert ledger.changed() == []


def test_a_crossing_of_a_window_that_is_over_blocks_nobody() -> None:
    said = Ledger(0, rules(DAY)).apply(total("a", 1, 12), 0, T0_US, T0_US + 2 * DAY_US)
    assert [order.model.action for order in said if isinstance(order.model, Order)] == ["kill"]


def test_a_killed_exchange_that_has_ended_takes_its_order_with_it() -> None:
    ledger = Ledger(0, rules(DAY))
    ledger.apply(total("a", 1, 12), 0, T0_US, T0_US)
    (lifted,) = ledger.apply(total("a", 2, 13, final=True), 1, T0_US, T0_US)
    assert (lifted.key, lifted.model) == ("exchange:a|meter|day|", None)


def test_a_settled_figure_below_the_limit_lifts_the_block() -> None:
    ledger = Ledger(0, rules(DAY))
    ledger.apply(total("a", 1, 12), 0, T0_US, T0_US)
    said = ledger.apply(total("a", 2, 3, final=True), 1, T0_US, T0_US)
    assert [(emission.key, emission.model) for emission in said] == [
        ("team:research|meter|day|", None),
        ("exchange:a|meter|day|", None),
    ]


def test_a_restored_ledger_decides_nothing_again() -> None:
    ledger = Ledger(0, rules(DAY))
    ledger.apply(total("a", 1, 12), 0, T0_US, T0_US)
    heir = Ledger(0, rules(DAY))
    heir.restore(ledger.changed(), T0_US)
    assert heir.apply(total("a", 1, 12), 0, T0_US, T0_US) == []
    (late,) = [one.model for one in heir.apply(total("b", 2, 0), 1, T0_US, T0_US) if isinstance(one.model, Order)]
    assert (late.scope, late.action) == ("exchange:b", "kill")


def test_old_windows_are_forgotten() -> None:
    ledger = Ledger(0, rules(DAY))
    ledger.apply(total("a", 1, 8), 0, T0_US, T0_US)
    end_us = window_of(DAY, T0_US).ends_at_us
    assert end_us is not None
    assert ledger.retire(end_us + KEEP_AFTER_END_US) == []
    assert ledger.retire(end_us + KEEP_AFTER_END_US + 1) == [("day", "team:research", window_of(DAY, T0_US).id)]
    assert ledger.changed() == []
    assert not ledger._budgets


def test_a_minute_in_which_nothing_runs_is_forgotten_after_an_hour() -> None:
    minute = limit(id="minute", window="minute", amount=10)
    ledger = Ledger(0, rules(minute))
    ledger.apply(total("a", 1, 8, limit_id="minute", final=True), 0, T0_US, T0_US)
    ledger.apply(total("b", 2, 8, limit_id="minute", born_us=T0_US + 60_000_000), 1, T0_US, T0_US)
    gone = [window for _, _, window in ledger.retire(T0_US + KEEP_IDLE_US + 180_000_000)]
    assert gone == [window_of(minute, T0_US).id]


def test_what_used_nothing_is_forgotten_at_once() -> None:
    forever = limit(id="ever", window="total", amount=10)
    ledger = Ledger(0, rules(forever))
    ledger.apply(total("refused", 1, 0, limit_id="ever"), 0, T0_US, T0_US)
    assert ledger.retire(T0_US) == [], "it runs"
    ledger.apply(total("refused", 2, 0, limit_id="ever", final=True), 1, T0_US, T0_US)
    assert ledger.retire(T0_US) == [("ever", "team:research", window_of(forever, T0_US).id)]
    assert not ledger._budgets
    ledger.apply(total("used", 3, 4, limit_id="ever", final=True), 2, T0_US, T0_US)
    assert ledger.retire(T0_US) == []


def test_an_old_window_that_reopens_leaves_the_block_of_the_next_one() -> None:
    ledger, next_us = Ledger(0, rules(DAY)), T0_US + DAY_US
    ledger.apply(total("old", 1, 12), 0, T0_US, T0_US)
    blocked = ledger.apply(total("new", 2, 12, born_us=next_us), 1, next_us, next_us)
    assert [order.model.action for order in blocked if isinstance(order.model, Order)] == ["block", "kill"]
    said = ledger.apply(total("old", 3, 3, final=True), 2, next_us, next_us)
    assert [emission.key for emission in said] == ["exchange:old|meter|day|"]


def used_up(**given: object) -> Ledger:
    """A ledger whose limit blocks."""
    ledger = Ledger(0, rules(limit(**{"id": "day", "window": "day", "amount": 10, **given})))
    ledger.apply(total("a", 1, 12, final=True), 0, T0_US, T0_US)
    return ledger


@pytest.mark.parametrize(
    "changed",
    [
        [limit(id="day", window="day", amount=20)],
        [limit(id="day", window="day", amount=10, kind="soft")],
        [limit(id="day", window="day", amount=10, scope="key:*")],
        [limit(id="day", window="day", amount=10, scope="team:other")],
        [limit(id="day", window="hour", amount=10)],
        [limit(id="day", window="day", amount=10, timezone="Asia/Tokyo")],
        [],
    ],
)
def test_a_block_that_the_policy_no_longer_wants_is_lifted_at_the_next_start(changed: list[Limit]) -> None:
    heir = Ledger(0, rules(*changed))
    said = heir.restore(used_up().changed(), T0_US + 1)
    assert [(emission.key, emission.model) for emission in said] == [("team:research|meter|day|", None)]


def test_a_raised_limit_blocks_again_when_it_is_used_up() -> None:
    heir = Ledger(0, rules(limit(id="day", window="day", amount=20)))
    heir.restore(used_up().changed(), T0_US + 1)
    assert [snapshot.blocked_epoch for snapshot in heir.changed()] == [0]
    said = heir.apply(total("b", 2, 9), 1, T0_US, T0_US)
    assert [order.model.action for order in said if isinstance(order.model, Order)] == ["block", "kill"]


def test_a_block_that_the_policy_wants_stays() -> None:
    for now_us in (T0_US + 1, T0_US + 2 * DAY_US):
        assert Ledger(0, rules(DAY)).restore(used_up().changed(), now_us) == []
    total_limit = limit(id="day", window="total", amount=10)
    snapshots = used_up(window="total").changed()
    assert Ledger(0, rules(total_limit)).restore(snapshots, T0_US + DAY_US) == []
    assert len(Ledger(0, rules()).restore(snapshots, T0_US + DAY_US)) == 1
