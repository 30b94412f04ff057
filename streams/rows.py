"""Items become columns of the tables, linked to the row before them: pure.

A partition's rows form a chain: each leaf names the commitment of the one before it, so that the place of damage shows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from penstock.schemas import topics
from penstock.schemas.commitment import ZERO

from .seen import Place, address_of
from .source import Item

PartitionKey = tuple[str, int]
Columns = dict[str, list[Any]]

EVENTS_LOG: Final = "events_log"
CONTENT: Final = "content"


@dataclass(frozen=True, slots=True)
class Mark:
    """The last row that the store holds of a partition: `offset` -1 where it holds none."""

    offset: int = -1
    index: int = 0
    commitment: bytes = ZERO

    @property
    def position(self) -> tuple[int, int]:
        return self.offset, self.index


@dataclass(frozen=True, slots=True)
class Hole:
    """Offsets that Kafka did not give: `first` to `last` of a partition, neither stored nor in hand."""

    topic: str
    partition: int
    first: int
    last: int


def beyond(items: Iterable[Item], marks: Mapping[PartitionKey, Mark]) -> list[Item]:
    """The items that lie after their partition's mark: all others are stored already."""
    return [item for item in items if item.position > marks[item.source.place].position]


def holes(items: Iterable[Item], marks: Mapping[PartitionKey, Mark]) -> list[Hole]:
    """Offsets missing between marks and items. Kafka's offsets are dense where nothing is compacted away and no
    transaction writes, so a missing one was lost. A partition without a mark may begin anywhere."""
    last = {place: mark.offset for place, mark in marks.items()}
    found = []
    for item in items:
        place, offset = item.source.place, item.source.offset
        before = last.get(place, -1)
        if 0 <= before < offset - 1 and place[0] not in topics.COMPACTED:
            found.append(Hole(*place, before + 1, offset - 1))
        last[place] = offset
    return found


def marks_after(items: Iterable[Item], marks: Mapping[PartitionKey, Mark]) -> dict[PartitionKey, Mark]:
    """The marks once `items` are stored."""
    after = dict(marks)
    for item in items:
        after[item.source.place] = Mark(item.source.offset, item.index, item.commitment)
    return after


def events_columns(
    items: Sequence[Item], marks: Mapping[PartitionKey, Mark], copies: Mapping[Place, str], recorded_at_us: int
) -> Columns:
    """The rows of `events_log`, one per item and in the same order."""
    before = {place: mark.commitment for place, mark in marks.items()}
    previous = []
    for item in items:
        place = item.source.place
        previous.append(before[place])
        before[place] = item.commitment
    sources, frames = [item.source for item in items], [item.frame for item in items]
    return {
        "topic": [source.topic for source in sources],
        "partition": [source.partition for source in sources],
        "offset": [source.offset for source in sources],
        "frame_index": [item.index for item in items],
        "event_id": [item.event_id for item in items],
        "exchange_id": [item.exchange_id for item in items],
        "kind": [item.kind for item in items],
        "seq": [item.seq for item in items],
        "origin": [item.origin for item in items],
        "occurred_at": [item.occurred_at_us for item in items],
        "appended_at": [source.appended_at_ms for source in sources],
        "commitment": [item.commitment for item in items],
        "previous": previous,
        "duplicate_of": [copies.get(address_of(item), "") for item in items] if copies else [""] * len(items),
        "tap_id": [frame.tap_id for frame in frames],
        "tap_epoch": [frame.tap_epoch for frame in frames],
        "frame_number": [frame.frame_number for frame in frames],
        "recorded_at": [recorded_at_us] * len(items),
    }


def content_columns(items: Iterable[Item], copies: Mapping[Place, str]) -> Columns:
    """The rows of `content`: one per item that could be read. A dead item's bytes lie on the dead-letter topic."""
    alive = [item for item in items if not item.why_dead]
    return {
        "exchange_id": [item.exchange_id for item in alive],
        "seq": [item.seq for item in alive],
        "event_id": [item.event_id for item in alive],
        "topic": [item.source.topic for item in alive],
        "partition": [item.source.partition for item in alive],
        "offset": [item.source.offset for item in alive],
        "frame_index": [item.index for item in alive],
        "kind": [item.kind for item in alive],
        "origin": [item.origin for item in alive],
        "part": [item.part for item in alive],
        "withheld": [item.withheld for item in alive],
        "redacted": [item.redacted for item in alive],
        "duplicate": [address_of(item) in copies for item in alive] if copies else [False] * len(alive),
        "subject": [item.subject for item in alive],
        "attributes": [item.attributes for item in alive],
        "body": [item.body for item in alive],
        "salt": [item.salt for item in alive],
        "occurred_at": [item.occurred_at_us for item in alive],
    }


def facts_columns(items: Iterable[Item], copies: Mapping[Place, str]) -> dict[str, Columns]:
    """The rows of the other tables, by table. A second copy adds none."""
    tables: dict[str, Columns] = {}
    for item in items:
        if address_of(item) in copies:
            continue
        for table, row in item.facts:
            columns = tables.setdefault(table, {name: [] for name in row})
            for name, value in row.items():
                columns[name].append(value)
    return tables
