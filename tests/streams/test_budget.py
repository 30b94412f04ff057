"""A budget says each decision once, whatever is repeated and wherever it is restarted."""

from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.schemas.usage import BudgetSnapshot, Place, Totals, UsageTotal
from penstock.streams.budget import NOTHING, Budget, allowed_output_tokens
from penstock.streams.limits import Window
from penstock.streams.snapshot import from_snapshot, to_snapshot

from .scripts import T0_US, limit

TOTAL = Window("total", None)


def total(
    name: str,
    at: int,
    output: int = 0,
    *,
    given: int = 0,
    cost: str = "0",
    final: bool = False,
    partition: int = 0,
    steps: list[tuple[int, int]] | None = None,
) -> UsageTotal:
    """The totals of exchange `name` after the traffic event at offset `at`."""
    return UsageTotal(
        limit_id="l",
        scope="team:research",
        exchange_id=name,
        started_at_us=T0_US,
        seq=at,
        seq_time_us=T0_US + at,
        place=Place(partition=partition, offset=at, index=0),
        steps=steps or [],
        totals=Totals(input_tokens=given, output_tokens=output, cost_usd=Decimal(cost)),
        final=final,
    )


def budget(**given: object) -> Budget:
    return Budget(limit(**given), "team:research", TOTAL)


def test_the_crossing_exchange_may_have_what_was_left_and_the_others_what_they_had() -> None:
    kept = budget(amount=10)
    assert kept.apply(total("a", 1, 4), 0, 1) == NOTHING
    assert kept.apply(total("b", 2, 3), 1, 2) == NOTHING
    decision = kept.apply(total("b", 3, 9, steps=[(70, 5), (71, 7), (72, 9)]), 2, 3)
    assert decision.used_up
    found = {kill.exchange_id: (kill.allowed_output_tokens, kill.crossed_at_us) for kill in decision.kills}
    assert found == {"a": (4, 71), "b": (6, 71)}


def test_an_exchange_that_was_admitted_too_late_is_killed_too_and_each_once() -> None:
    kept = budget(amount=10)
    assert kept.apply(total("a", 1, 11), 0, 1).kills
    late = kept.apply(total("b", 2, 0, given=5), 1, 2)
    assert [(kill.exchange_id, kill.allowed_output_tokens) for kill in late.kills] == [("b", 0)]
    assert not late.used_up
    assert kept.apply(total("b", 3, 2, given=5), 2, 3).kills == ()
    assert kept.apply(total("a", 4, 12, final=True), 3, 4).ended == "a"


def test_exactly_the_amount_blocks_and_kills_nobody() -> None:
    decision = budget(amount=10).apply(total("a", 1, 10), 0, 1)
    assert decision.used_up
    assert not decision.kills


def test_a_soft_limit_kills_nobody() -> None:
    decision = budget(amount=10, kind="soft").apply(total("a", 1, 50), 0, 1)
    assert decision.used_up
    assert not decision.kills


@pytest.mark.parametrize("unit", ["requests", "input_tokens"])
def test_what_admission_uses_up_kills_those_alone_that_came_too_late(unit: str) -> None:
    kept = budget(amount=2, unit=unit)
    kept.apply(total("a", 1, given=1), 0, 1)
    assert kept.apply(total("b", 2, given=1), 1, 2).used_up
    assert [kill.exchange_id for kill in kept.apply(total("c", 3, given=1), 2, 3).kills] == ["c"]
    assert kept.apply(total("a", 4, 50, given=1), 3, 4).kills == ()


def test_a_settled_figure_below_the_limit_opens_the_scope_again() -> None:
    kept = budget(amount=10)
    assert kept.apply(total("a", 1, 12), 0, 1).used_up
    decision = kept.apply(total("a", 2, 8, final=True), 1, 2)
    assert decision.reopened and not decision.used_up
    assert kept.apply(total("b", 3, 2), 2, 3).used_up
    assert kept.used == 10


def test_cost_grows_evenly_between_two_records() -> None:
    kept = budget(amount=1, unit="cost_usd")
    kept.apply(total("a", 1, 100, cost="0.5"), 0, 1)
    (kill,) = kept.apply(total("a", 2, 300, cost="1.5"), 1, 2).kills
    assert kill.allowed_output_tokens == 200


@pytest.mark.parametrize(
    ("unit", "remaining", "allowed"),
    [
        ("output_tokens", 3, 8),
        ("total_tokens", 3, 5),
        ("total_tokens", 14, 9),
        ("requests", 1, 5),
        ("output_tokens", 90, 15),
    ],
)
def test_allowed_output(unit: str, remaining: int, allowed: int) -> None:
    before, after = Totals(input_tokens=0, output_tokens=5), Totals(input_tokens=10, output_tokens=15)
    assert allowed_output_tokens(limit(unit=unit).unit, Decimal(remaining), before, after) == allowed


def test_a_repeated_final_counts_once_and_a_lost_one_is_made_up_for() -> None:
    kept = budget(amount=100)
    kept.apply(total("a", 1, 5), 0, 1)
    kept.apply(total("b", 2, 7), 1, 2)
    kept.apply(total("b", 3, 8, final=True), 2, 3)
    for offset, repeated in enumerate([total("b", 2, 7), total("b", 3, 8, final=True)], 3):
        assert kept.apply(repeated, offset, 4) == NOTHING
    kept.apply(total("a", 2, 6, final=True), 5, 6)
    assert (kept.used, kept.running) == (14, {})


@dataclass
class Life:
    """Budgets kept over crashes: the log of usage records, and the last snapshot that was written."""

    amount: int
    log: list[UsageTotal] = field(default_factory=list)
    snapshot: BudgetSnapshot | None = None
    read: int = 0
    kept: Budget | None = None
    decided: list[int] = field(default_factory=list)
    killed: list[tuple[str, int]] = field(default_factory=list)

    def start(self) -> None:
        """What a restart does: the snapshot, then the log from what was acknowledged with it."""
        fresh = Budget(limit(amount=self.amount), "team:research", TOTAL)
        self.kept = from_snapshot(self.snapshot, fresh.limit) if self.snapshot else fresh
        self.read = self.snapshot.next_offset if self.snapshot else 0

    def follow(self) -> None:
        assert self.kept is not None
        for offset in range(self.read, len(self.log)):
            decision = self.kept.apply(self.log[offset], offset, offset + 1)
            if decision.used_up:
                self.decided.append(self.kept.epoch)
            self.killed += [(kill.exchange_id, kill.allowed_output_tokens) for kill in decision.kills]
        self.read = len(self.log)

    def save(self) -> None:
        assert self.kept is not None
        saved = to_snapshot(self.kept, 0)
        self.snapshot = BudgetSnapshot.model_validate_json(saved.model_dump_json())


def script(draw: st.DrawFn, partition: int) -> list[UsageTotal]:
    """What the counting agent says of one traffic partition: some exchanges, interleaved, each ended once."""
    counts = {f"{partition}{name}": 0 for name in "abc"[: draw(st.integers(1, 3))]}
    said = []
    while counts:
        name = draw(st.sampled_from(sorted(counts)))
        counts[name] += draw(st.integers(0, 9))
        final = draw(st.integers(0, 3)) == 0
        said.append(total(name, len(said), counts[name], final=final, partition=partition))
        if final:
            del counts[name]
    return said


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[list[UsageTotal]], list[tuple[str, int]], int]:
    """Scripts of two partitions, and steps: say the next, repeat from an earlier place, save, crash."""
    scripts = [script(draw, 0), script(draw, 1)]
    steps = draw(
        st.lists(
            st.tuples(st.sampled_from(["say", "say", "say", "repeat", "save", "crash"]), st.integers(0, 1_000)),
            max_size=60,
        )
    )
    return scripts, steps, draw(st.integers(1, 40))


@given(histories())
@settings(max_examples=300, deadline=None)
def test_repeats_and_restarts_change_no_total_and_decide_once(
    history: tuple[list[list[UsageTotal]], list[tuple[str, int]], int],
) -> None:
    scripts, steps, amount = history
    life, said = Life(amount), [0, 0]
    life.start()
    for what, number in [*steps, *(("say", partition) for partition in (0, 1) for _ in scripts[partition])]:
        partition = number % 2
        if what == "repeat":
            said[partition] = number % (said[partition] + 1)
        elif what == "say" and said[partition] < len(scripts[partition]):
            life.log.append(scripts[partition][said[partition]])
            said[partition] += 1
        elif what == "save":
            life.follow()
            life.save()
        elif what == "crash":
            life.start()
        if number % 3:
            life.follow()
    life.follow()
    assert life.kept is not None
    assert life.kept.running == {}
    finals = [one for spoken in scripts for one in spoken if one.final]
    assert life.kept.settled.output_tokens == sum(one.totals.output_tokens for one in finals)
    assert life.kept.settled.requests == len(finals)
    assert life.kept.used == life.kept.settled.output_tokens
    assert len(set(life.decided)) <= 1
    assert bool(life.decided) == (life.kept.used >= amount)
    assert len(dict(life.killed)) == len(set(life.killed))
