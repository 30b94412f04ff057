"""Rows form a chain per partition, and what is stored is dropped by position."""

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.schemas import topics
from penstock.schemas.commitment import ZERO
from penstock.schemas.ids import new_exchange_id
from penstock.streams.decode import decode
from penstock.streams.rows import Hole, Mark, beyond, content_columns, events_columns, facts_columns, holes, marks_after
from penstock.streams.seen import address_of
from penstock.streams.source import Item, Source

from .test_decode import attribution_source
from .traffic import AT_US, exchange_events, frame_source

PLACE = (topics.TRAFFIC, 0)


def two_partitions() -> list[Item]:
    sources = [
        frame_source(exchange_events(new_exchange_id(), 2), offset, partition=partition)
        for offset in range(3)
        for partition in range(2)
    ]
    return [item for source in sources for item in decode(source)]


def test_previous_is_the_commitment_before_it_in_the_same_partition() -> None:
    items = two_partitions()
    before = Mark(41, 2, b"m" * 32)
    columns = events_columns(items, {PLACE: before, (topics.TRAFFIC, 1): Mark()}, {}, AT_US)
    for partition, first in ((0, before.commitment), (1, ZERO)):
        rows = [number for number, item in enumerate(items) if item.source.partition == partition]
        expected = [first, *(items[number].commitment for number in rows[:-1])]
        assert [columns["previous"][number] for number in rows] == expected


def test_every_column_has_a_value_per_row() -> None:
    items = two_partitions()
    marks = {item.source.place: Mark() for item in items}
    for columns in (events_columns(items, marks, {}, AT_US), content_columns(items, {})):
        assert {len(column) for column in columns.values()} == {len(items)}


@settings(deadline=None)
@given(st.integers(-1, 3), st.integers(0, 6))
def test_a_chain_cut_anywhere_goes_on_the_same(offset: int, index: int) -> None:
    items = [item for item in two_partitions() if item.source.partition == 0]
    whole = events_columns(items, {PLACE: Mark()}, {}, AT_US)["previous"]
    stored = [item for item in items if item.position <= (offset, index)]
    marks = marks_after(stored, {PLACE: Mark()})
    rest = beyond(items, marks)
    assert len(rest) == len(items) - len(stored)
    assert events_columns(rest, marks, {}, AT_US)["previous"] == whole[len(stored) :]


def test_dead_items_have_a_leaf_and_no_content() -> None:
    events = exchange_events(new_exchange_id(), 1)
    events[1] = b"{}"
    items = decode(frame_source(events))
    assert len(events_columns(items, {PLACE: Mark()}, {}, AT_US)["topic"]) == 4
    assert content_columns(items, {})["seq"] == [0, 2, 3]


def test_a_second_copy_names_the_first_and_adds_no_facts() -> None:
    items = decode(attribution_source())
    place = items[0].source.place
    copies = {address_of(items[0]): "penstock.attribution.v1/1/3/0"}
    assert events_columns(items, {place: Mark()}, copies, AT_US)["duplicate_of"] == ["penstock.attribution.v1/1/3/0"]
    assert content_columns(items, copies)["duplicate"] == [True]
    assert facts_columns(items, copies) == {}
    assert set(facts_columns(items, {})) == {"exchange_facts", "attribution"}


def test_holes_are_named_where_offsets_must_be_dense() -> None:
    def items_at(topic: str, *offsets: int) -> list[Item]:
        return [item for offset in offsets for item in decode(Source(topic, 0, offset, b"k", None, (), 0))]

    audit, control = (topics.AUDIT, 0), (topics.CONTROL, 0)
    assert holes(items_at(topics.AUDIT, 4, 5, 8), {audit: Mark(3)}) == [Hole(topics.AUDIT, 0, 6, 7)]
    assert holes(items_at(topics.AUDIT, 6), {audit: Mark(3)}) == [Hole(topics.AUDIT, 0, 4, 5)]
    assert holes(items_at(topics.AUDIT, 6, 7), {audit: Mark()}) == []
    assert holes(items_at(topics.CONTROL, 6, 9), {control: Mark(3)}) == []
