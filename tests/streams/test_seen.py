"""No second copy slips through, whatever was asked before, and little is asked."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.streams.decode import decode
from penstock.streams.seen import Place, Seen, address_of, copies_among
from penstock.streams.source import Item

from .test_decode import attribution_source
from .traffic import exchange_events, frame_source

EVENTS = [exchange_events(f"01a20c35-0000-7000-8000-00000000000{number}", 3) for number in range(3)]


class Stored:
    """A store in memory: what the real one answers, with the bookkeeping of `Store.write`."""

    def __init__(self) -> None:
        self.first: dict[str, Place] = {}
        self.asked = 0
        self.seen = Seen(max_exchanges=2)

    def places(self, items: Sequence[Item]) -> dict[str, list[Place]]:
        self.asked += len(items)
        return {item.event_id: [self.first[item.event_id]] for item in items if item.event_id in self.first}

    def write(self, items: Sequence[Item]) -> dict[Place, str]:
        found = self.places(self.seen.questions(items))
        found.update(self.places(self.seen.followers(items, found)))
        copies = copies_among(items, found)
        for item in items:
            if address_of(item) not in copies:
                assert item.event_id not in self.first, "a second copy was taken for a first"
                self.first[item.event_id] = address_of(item)
        self.seen.stored(items, copies)
        return copies


deliveries = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(1, 6), st.booleans()), max_size=25)


@given(deliveries, st.integers(1, 4), st.sets(st.integers(0, 24)))
@settings(max_examples=300, deadline=None)
def test_any_replay_in_any_batches_stores_each_event_once(
    sent: list[tuple[int, int, int, bool]], per_batch: int, restarts: set[int]
) -> None:
    """Exchanges begin at their first event (a tap's order); any later stretch may come again, marked or not."""
    store, upto = Stored(), [0, 0, 0]
    items: list[Item] = []
    for offset, (exchange, start, length, marked) in enumerate(sent):
        begin = min(start, upto[exchange])
        stretch = EVENTS[exchange][begin : begin + length]
        upto[exchange] = max(upto[exchange], begin + len(stretch))
        items += decode(frame_source(stretch, offset, replayed=marked))
        if offset in restarts:
            store.seen = Seen()
        if offset % per_batch == 0:
            store.write(items)
            items = []
    store.write(items)
    assert len(store.first) == sum(upto)


def test_a_new_exchange_costs_one_question() -> None:
    store = Stored()
    assert store.write(decode(frame_source(EVENTS[0]))) == {}
    assert store.asked == 1


def test_a_whole_second_copy_names_the_first() -> None:
    store = Stored()
    store.write(decode(frame_source(EVENTS[0], 3)))
    copies = store.write(decode(frame_source(EVENTS[0], 9, replayed=True)))
    assert list(copies.values()) == [f"penstock.traffic.v1/0/3/{index}" for index in range(6)]


def test_other_topics_are_always_asked_for() -> None:
    store = Stored()
    items = decode(attribution_source())
    assert store.write(items) == {}
    assert store.asked == 1


def test_its_own_row_of_another_worker_makes_no_copy() -> None:
    (item,) = decode(attribution_source())
    here = address_of(item)
    later = (*here[:2], here[2] + 5, 0)
    assert copies_among([item], {item.event_id: [here, later]}) == {}
