"""Model of the journal: whatever is done, and wherever it is cut, what survives is what was promised."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.gateway_tap.journal import NOWHERE, Journal
from penstock.gateway_tap.journal_record import GapNote
from penstock.gateway_tap.journal_recovery import LOST, Recovery

from .journalling import Cut, Disk, bodies, damaged, event, recover

PARTITIONS = 3
EXCHANGES = 5
Act = tuple[Any, ...]
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(0, EXCHANGES - 1), st.integers(1, 3), st.integers(0, 400)),
        st.tuples(st.just("end"), st.integers(0, EXCHANGES - 1)),
        st.tuples(st.just("partial"), st.integers(0, EXCHANGES - 1), st.binary(min_size=1, max_size=300)),
        st.tuples(st.just("close"), st.integers(0, PARTITIONS - 1)),
        st.tuples(st.just("ack"), st.integers(0, PARTITIONS - 1)),
        st.tuples(st.just("sync")),
    ),
    max_size=40,
)


@dataclass
class Model:
    """Does to a journal what a tap does, and knows what must be in it."""

    disk: Disk
    events: dict[int, list[tuple[int, bytes]]] = field(default_factory=lambda: {n: [] for n in range(PARTITIONS)})
    synced: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(PARTITIONS), 0))
    frames: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(PARTITIONS), 0))
    acked: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(PARTITIONS), -1))
    seqs: dict[str, int] = field(default_factory=dict)
    turns: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(EXCHANGES), 0))
    partials: dict[str, bytes] = field(default_factory=dict)
    under_way: bytes = b""

    def __post_init__(self) -> None:
        self.journal = Journal(self.disk)
        self.journal.begin(9)

    def run(self, acts: list[Act]) -> None:
        for name, *arguments in acts:
            getattr(self, name)(*arguments)

    def publish(self, number: int, count: int, size: int, kind: str = "chunk") -> None:
        exchange, partition = f"e{number}-{self.turns[number]}", number % PARTITIONS
        seq = self.seqs.get(exchange, 0)
        made = [event(exchange, seq + n, kind, b"x" * size) for n in range(count)]
        self.under_way = made[0]
        before = len(self.events[partition])
        assert self.journal.append(partition, self.frames[partition], before, exchange, made) != NOWHERE
        self.events[partition] += [(self.frames[partition], one) for one in made]
        self.seqs[exchange] = seq + count
        self.partials.pop(exchange, None)

    def end(self, number: int) -> None:
        exchange = f"e{number}-{self.turns[number]}"
        self.publish(number, 1, 10, "completion")
        self.turns[number] += 1
        del self.seqs[exchange]

    def partial(self, number: int, data: bytes) -> None:
        exchange = f"e{number}-{self.turns[number]}"
        if exchange in self.seqs:
            self.under_way = data
            self.journal.partial(exchange, data, 3)
            self.partials[exchange] = self.partials.get(exchange, b"") + data

    def close(self, partition: int) -> None:
        if self.events[partition] and self.events[partition][-1][0] == self.frames[partition]:
            self.frames[partition] += 1

    def ack(self, partition: int) -> None:
        self.close(partition)
        if self.frames[partition]:
            self.acked[partition] = self.frames[partition] - 1
            events = sum(frame <= self.acked[partition] for frame, _ in self.events[partition])
            self.journal.acknowledge(partition, 9, self.acked[partition], events)

    def sync(self) -> None:
        self.disk.sync()
        self.synced = {partition: len(events) for partition, events in self.events.items()}

    def sent(self, partition: int, recovery: Recovery) -> list[bytes]:
        """What must be sent, given what the journal knows of Kafka's acknowledgements."""
        acked = recovery.acked.get(partition, (-1, -1))[:2]
        assert acked <= (9, self.acked[partition])
        return [one for frame, one in self.events[partition] if (9, frame) > acked]


@settings(max_examples=1000, deadline=None)
@given(ACTS, st.integers(0, 120))
def test_everything_survives_the_end_of_the_process_at_any_write(acts: list[Act], writes: int) -> None:
    model = Model(Disk(left=writes))
    try:
        model.run(acts)
    except Cut:
        pass
    else:
        model.under_way = b"nothing"
    contents = model.disk.contents()
    recovery = recover(contents)
    assert not damaged(recovery) and not recovery.gaps()
    for partition in range(PARTITIONS):
        found, wanted = bodies(recovery, contents, partition), model.sent(partition, recovery)
        assert found[: len(wanted)] == wanted
        assert found[len(wanted) : len(wanted) + 1] in ([], [model.under_way])
    for exchange, seq in model.seqs.items():
        known = recovery.running.get(exchange)
        if known is None:  # its end was under way
            assert b"completion" in model.under_way
            continue
        assert (known.known.seq, known.partition) == (seq, int(exchange[1]) % PARTITIONS) or model.under_way
        told = b"".join(known.partial)
        if known.known.seq == seq:
            assert told in (model.partials.get(exchange, b""), model.partials.get(exchange, b"") + model.under_way)


@settings(max_examples=1000, deadline=None)
@given(ACTS, st.integers(0, 120), st.randoms(use_true_random=False))
def test_a_power_failure_costs_nothing_that_was_synced_and_every_loss_is_named(
    acts: list[Act], writes: int, random: Any
) -> None:
    model = Model(Disk(left=writes))
    with contextlib.suppress(Cut):
        model.run(acts)
    choose: Callable[[int], int] = random.randrange
    contents = model.disk.contents_after_power_loss(choose)
    recovery = recover(contents)
    for partition in range(PARTITIONS):
        known = [one for _, one in model.events[partition]]
        found, wanted = bodies(recovery, contents, partition), model.sent(partition, recovery)
        invented = [one for one in found if one not in known]
        assert invented in ([], [model.under_way]) or invented[0] == model.under_way
        places = [known.index(one) for one in found if one in known]
        assert places == sorted(set(places)), "order changed"
        in_kafka = {one for frame, one in model.events[partition] if frame <= model.acked[partition]}
        synced = set(known[: model.synced[partition]]) & set(wanted) - in_kafka
        assert synced <= set(found), "synced, and lost"
        named = sum(gap.events for _, number, gap in recovery.gaps() if number == partition and gap.cause == LOST)
        inner = [one for one in wanted if places and known.index(one) < places[-1]]
        assert named >= len([one for one in inner if one not in found and one not in in_kafka])


def test_a_gap_note_survives_and_its_number_is_not_used_again() -> None:
    model = Model(Disk())
    model.publish(0, 1, 10)
    model.close(0)
    model.journal.gap(0, 1, 1, 0, GapNote(cause="full", exchanges=[]))
    model.journal.gap(0, 1, 1, 7, GapNote(cause="full", exchanges=["e"]))
    recovery = recover(model.disk.contents())
    ((epoch, partition, gap),) = recovery.gaps()
    assert (epoch, partition, gap.first, gap.last, gap.events, gap.exchanges) == (9, 0, 1, 1, 7, ["e"])
    assert recovery.lanes[9, 0].following == 2


def test_what_follows_a_damaged_record_is_kept_and_the_loss_is_named() -> None:
    model = Model(Disk(size=1 << 16))
    for _ in range(3):
        model.publish(0, 2, 10)
        model.publish(1, 1, 10)
        model.close(0)
    (segment, memory), *_ = model.disk.kept.values()
    place = bytes(memory).index(b'"id":"e0-0/2"')
    memory[place : place + 1] = b"?"
    contents = model.disk.contents()
    recovery = recover(contents)
    assert len(damaged(recovery)) == 1
    ((epoch, partition, gap),) = recovery.gaps()
    assert (epoch, partition, gap.events, gap.exchanges, gap.cause) == (9, 0, 2, ["e0-0"], LOST)
    assert (gap.first, gap.last) == (0, 2)
    assert bodies(recovery, contents, 0) == [one for _, one in model.events[0] if b"/2" not in one and b"/3" not in one]
    assert bodies(recovery, contents, 1) == [one for _, one in model.events[1]]
    assert recovery.left_open("b", {9: "b"}) == []
    assert segment.head.epoch == 9


def test_exchanges_are_not_ended_after_a_failure_of_the_host() -> None:
    model = Model(Disk())
    model.publish(0, 2, 10)
    recovery = recover(model.disk.contents())
    assert [one.known.exchange for one in recovery.left_open("b", {9: "b"})] == ["e0-0"]
    assert recovery.left_open("another", {9: "b"}) == []
