"""The traffic of one partition, in order: frames of each tap, and events of each exchange. Pure.

A tap numbers its frames densely from 0 per epoch and partition, and the events of an exchange densely from 0: what is
missing was dropped by the tap, which says so in a gap, or lost.
"""

from bisect import bisect_left
from dataclasses import dataclass

from .acts import Acts
from .check_rows import OffsetHole
from .leaf import Row, text
from .report import Report


@dataclass(frozen=True, slots=True)
class FrameHole:
    """Frame numbers `first` to `last` of a tap have not come before the offset `at`. `offsets`: the hole in Kafka's
    offsets since its last frame."""

    tap: str
    epoch: int
    first: int
    last: int
    where: str
    at: int
    offsets: OffsetHole | None


@dataclass(frozen=True, slots=True)
class SeqHole:
    """Events `first` to `last` of an exchange have not come between the offsets `after` and `at`."""

    exchange: str
    first: int
    last: int
    where: str
    after: int
    at: int
    tap: str
    epoch: int


class FrameCheck:
    """Fed with all rows of one traffic partition. Memory grows with open exchanges and with holes."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._next: dict[tuple[str, int], int] = {}
        self._at: tuple[int, str, int] = (-1, "", 0)
        self._came: dict[tuple[str, int], int] = {}
        self._hole: OffsetHole | None = None
        self._open: dict[bytes, tuple[int, int]] = {}
        self._begin: Row | None = None
        self._dead: list[int] = []
        self.frames: list[FrameHole] = []
        self.seqs: list[SeqHole] = []

    def feed(self, row: Row, hole: OffsetHole | None) -> None:
        """The next row, with the hole in the offsets before it."""
        self._begin = self._begin or row
        self._hole = hole or self._hole
        if row.kind == b"dead_letter":
            self._dead.append(row.offset)
        tap = text(row.tap_id)
        if tap and (row.offset, tap, row.tap_epoch) != self._at:
            self._at = (row.offset, tap, row.tap_epoch)
            self._frame(row, tap)
        if row.exchange_id and not row.duplicate_of and row.kind != b"dead_letter":
            self._event(row, tap)

    def finish(self, partition: int, acts: Acts, topic: str) -> None:
        """After the last row: what no act names is a fault."""
        self._report.exchanges_open += len(self._open)
        torn: dict[tuple[str, int], list[int]] = {}
        for hole in self.frames:
            beside = hole.offsets and acts.covers_offsets(topic, partition, (hole.offsets.first, hole.offsets.last))
            if acts.covers_frames(hole.tap, hole.epoch, partition, (hole.first, hole.last)) or beside:
                torn.setdefault((hole.tap, hole.epoch), []).append(hole.at)
                continue
            self._report.fault(
                "frames",
                hole.where,
                f"frames {hole.first}–{hole.last} of tap {hole.tap} (epoch {hole.epoch}) are missing before it, and no "
                f"gap names them",
            )
        for seq in self.seqs:
            torn_here = _any_between(torn.get((seq.tap, seq.epoch), []), seq.after + 1, seq.at)
            if seq.exchange in acts.torn or torn_here or _any_between(self._dead, seq.after, seq.at):
                continue  # of a dead letter nobody can tell the exchange
            self._report.fault(
                "events",
                seq.where,
                f"events {seq.first}–{seq.last} of exchange {seq.exchange} are missing before it, and no gap names "
                f"them",
            )

    def _frame(self, row: Row, tap: str) -> None:
        key, number = (tap, row.tap_epoch), row.frame_number
        hole = self._hole if self._hole and self._hole.first > self._came.get(key, -1) else None
        self._came[key] = row.offset
        wanted = self._next.get(key)
        if wanted is None:
            wanted = number if self._began_before(row) else 0
        if number > wanted:
            self.frames.append(FrameHole(tap, row.tap_epoch, wanted, number - 1, str(row.position), row.offset, hole))
        elif number < wanted and not row.duplicate_of and not self._fill(key, number):
            self._report.fault(
                "frames", str(row.position), f"frame {number} of tap {tap} (epoch {row.tap_epoch}) came twice"
            )
        self._next[key] = max(wanted, number + 1)

    def _began_before(self, row: Row) -> bool:
        """Whether the tap may have sent frames that were no longer in Kafka when the trail began."""
        begin = self._begin or row
        return begin.offset > 0 and row.tap_epoch <= begin.appended_at_ms * 1000

    def _fill(self, key: tuple[str, int], number: int) -> bool:
        for index, hole in enumerate(self.frames):
            if (hole.tap, hole.epoch) == key and hole.first <= number <= hole.last:
                parts = ((hole.first, number - 1), (number + 1, hole.last))
                self.frames[index : index + 1] = [
                    FrameHole(hole.tap, hole.epoch, first, last, hole.where, hole.at, hole.offsets)
                    for first, last in parts
                    if first <= last
                ]
                return True
        return False

    def _event(self, row: Row, tap: str) -> None:
        wanted, after = self._open.get(row.exchange_id, (None, -1))
        if wanted is None:
            self._report.exchanges += 1
            wanted = row.seq if self._began_before(row) else 0
        if row.seq > wanted:
            exchange = text(row.exchange_id)
            where = (str(row.position), after, row.offset)
            self.seqs.append(SeqHole(exchange, wanted, row.seq - 1, *where, tap, row.tap_epoch))
        if row.kind == b"completion":
            self._open.pop(row.exchange_id, None)
        else:
            self._open[row.exchange_id] = (max(wanted, row.seq + 1), row.offset)


def _any_between(offsets: list[int], first: int, last: int) -> bool:
    """Whether ascending `offsets` hold one from `first` to `last`."""
    index = bisect_left(offsets, first)
    return index < len(offsets) and offsets[index] <= last
