"""The rows of one partition, in order: is the chain whole, are offsets and indexes dense? Pure."""

from dataclasses import dataclass

from penstock.schemas.commitment import ZERO
from penstock.schemas.topics import COMPACTED

from .leaf import Position, Row, text
from .report import Report
from .sealing import Partition


@dataclass(frozen=True, slots=True)
class OffsetHole:
    """Offsets `first` to `last` have no row."""

    first: int
    last: int


class RowCheck:
    """Fed with all rows of one partition, in the order of their positions."""

    def __init__(self, partition: Partition, report: Report) -> None:
        self._report = report
        self._dense = text(partition[0]) not in COMPACTED
        self._before: Row | None = None
        self.holes: list[OffsetHole] = []
        self.first: Row | None = None

    def feed(self, row: Row) -> OffsetHole | None:
        """Checks one row; returns the hole before it, which is a fault unless an act names it."""
        report, before = self._report, self._before
        report.rows += 1
        if row.kind == b"dead_letter":
            report.dead_lettered += 1
            self._check_dead(row)
        elif row.duplicate_of:
            report.duplicates += 1
        else:
            report.stored += 1
        self._check_chain(row, before)
        self._before = row
        if before is None:
            self.first = row
            self._check_index(row, 0)
            return None
        if row.offset == before.offset:
            self._check_index(row, before.frame_index + 1)
            return None
        self._check_index(row, 0)
        if self._dense and row.offset != before.offset + 1:
            hole = OffsetHole(before.offset + 1, row.offset - 1)
            self.holes.append(hole)
            return hole
        return None

    def has_rows(self, first: int, last: int) -> bool:
        """Whether any row stands between two offsets: what a gap names is missing only where none does."""
        if self.first is None or self._before is None:
            return False
        first, last = max(first, self.first.offset), min(last, self._before.offset)
        return first <= last and not any(hole.first <= first and last <= hole.last for hole in self.holes)

    def _check_chain(self, row: Row, before: Row | None) -> None:
        wanted = ZERO if before is None else before.commitment
        if row.previous != wanted:
            what = (
                "it is the first row, but names one before it"
                if before is None
                else (
                    f"`previous` is not the commitment of the row before it ({before.position}): one of both was "
                    f"altered, or a row between them is missing"
                )
            )
            self._report.fault("chain", str(row.position), what)

    def _check_dead(self, row: Row) -> None:
        if row.event_id != f"dead/{row.position}".encode() or row.exchange_id:
            self._report.fault("dead_letter", str(row.position), "it is marked as a dead letter, but has an event's id")

    def _check_index(self, row: Row, wanted: int) -> None:
        if row.frame_index != wanted:
            self._report.fault("indexes", str(row.position), f"index {wanted} of its frame is missing before it")


def named_first(row: Row) -> Position | None:
    """The place that a second copy names as the first's; None where it names none."""
    topic, *numbers = row.duplicate_of.rsplit(b"/", 3)
    if len(numbers) != 3 or not all(number.isdigit() for number in numbers):
        return None
    partition, offset, index = map(int, numbers)
    return Position(topic, partition, offset, index)


def no_copy(row: Row, first: Row | None) -> str:
    """Why `row` is no second copy of `first`, the row at the place that it names; empty where it is one."""
    if first is None:
        return f"it says that it is a second copy of {text(row.duplicate_of)}, where no row stands"
    if first.event_id != row.event_id or first.duplicate_of or first.position == row.position:
        return f"it says that it is a second copy of {text(row.duplicate_of)}, where another event stands"
    return ""
