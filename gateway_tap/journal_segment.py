"""One segment of the journal, where segments come from, and records by their position.

A position is `segment number << 32 | place in the segment`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from .journal_record import HEAD_BYTES, RECORD_HEAD_BYTES, Record, SegmentHead, read_record


@dataclass(slots=True)
class Segment:
    """One segment. `buffer` is its mapped memory while it is written; `need`: the last frame of each partition (and of
    AUDIT_LANE) that must be acknowledged before it may be dropped; `used`: bytes written."""

    head: SegmentHead
    buffer: Any = None
    used: int = HEAD_BYTES
    need: dict[int, int] = field(default_factory=dict)


Acknowledged = tuple[int, int, int]
"""Epoch, frame, and how many events of the epoch that makes."""
NEVER: Final[Acknowledged] = (-1, -1, 0)


class Supply(Protocol):
    """Where segments come from and go to."""

    @property
    def pressed(self) -> bool:
        """Room is running out: what is left is for exchanges that run already."""
        ...

    @property
    def has_room(self) -> bool:
        """Events may get another segment."""
        ...

    def take(self, epoch: int, size: int, *, control: bool) -> Segment | None:
        """A fresh segment for records of `epoch`, the first of them with `size` bytes; None where there is no room.
        `control`: for the journal's own notes, which may use what is kept back from events."""
        ...

    def read(self, segment: Segment, start: int, end: int) -> bytes:
        """Bytes of a segment, whether it is still written or not."""
        ...

    def retire(self, segment: Segment) -> None:
        """Nothing more is written to it."""
        ...

    def drop(self, segment: Segment) -> None:
        """It is not needed any more."""
        ...


def bodies_at(segments: Mapping[int, Segment], supply: Supply, positions: Iterable[int]) -> list[bytes]:
    """The bodies of the records at ascending positions, with one read per segment. ValueError where one is damaged."""
    bodies: list[bytes] = []
    for number, places in _by_segment(positions):
        segment = segments[number]
        first, head = places[0], supply.read(segment, places[-1], places[-1] + RECORD_HEAD_BYTES)
        span = memoryview(supply.read(segment, first, places[-1] + _whole_bytes(head)))
        bodies += [_record(span, place - first, segment).body for place in places]
    return bodies


def record_at(segments: Mapping[int, Segment], supply: Supply, position: int) -> Record:
    """The record at `position`. ValueError where it is damaged."""
    segment, place = segments[position >> 32], position & 0xFFFFFFFF
    head = supply.read(segment, place, place + RECORD_HEAD_BYTES)
    return _record(memoryview(supply.read(segment, place, place + _whole_bytes(head))), 0, segment)


def _record(data: memoryview, at: int, segment: Segment) -> Record:
    record = read_record(data, at, segment.head)
    if record is None:
        raise ValueError(f"a record of segment {segment.head.number} is damaged")
    return record


def _whole_bytes(head: bytes) -> int:
    return RECORD_HEAD_BYTES + int.from_bytes(head[8:12], "little")


def _by_segment(positions: Iterable[int]) -> Iterator[tuple[int, list[int]]]:
    places: list[int] = []
    number = -1
    for position in positions:
        if position >> 32 != number:
            if places:
                yield number, places
            number, places = position >> 32, []
        places.append(position & 0xFFFFFFFF)
    if places:
        yield number, places
