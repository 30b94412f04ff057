"""Pure: one partition's events on their way to Kafka: what is gathered, which frames wait, what was dropped.

Frame numbers are dense from 0 per (tap, epoch, partition). Events that find no room are dropped with a frame number of
their own, so that the hole is visible to whoever counts frames; `Hole` says what was in it. With a journal, events are
in it before `add` returns, and a frame that finds no room in memory is read back from it when its turn comes.
"""

from array import array
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from penstock.schemas.frames import FRAME_MAX_BYTES, write_frame

from .journal import NOWHERE, Journal
from .journal_record import GapNote

HOLE_NAMES: Final = 100
QUEUE_FULL: Final = "the queue to Kafka was full"
JOURNAL_FULL: Final = "the journal was full"


@dataclass(slots=True)
class Frame:
    """One frame. `tried`: it was sent before and the answer is unknown, so it may exist twice. `value` None: it lies in
    the journal alone, at `positions`. `accepted`: events of its epoch and partition up to its end."""

    number: int
    value: bytes | None
    events: int
    events_bytes: int
    tried: bool = False
    epoch: int = 0
    accepted: int = 0
    positions: "array[int] | None" = None


@dataclass(slots=True)
class Hole:
    """A frame number that will never be published: how many events it stands for, and of which exchanges."""

    number: int
    events: int = 0
    exchanges: list[str] = field(default_factory=list)
    cause: str = QUEUE_FULL
    epoch: int = 0

    def add(self, exchange_id: str, events: int) -> None:
        """More events that were dropped."""
        self.events += events
        if len(self.exchanges) < HOLE_NAMES and exchange_id not in self.exchanges:
            self.exchanges.append(exchange_id)


@dataclass(slots=True)
class Memory:
    """How much of what waits may be held in memory, beside the journal."""

    max_bytes: int
    used_bytes: int = 0

    def take(self, size: int) -> bool:
        """Whether there is room for a frame of `size` bytes; then it is taken."""
        if self.used_bytes + size > self.max_bytes:
            return False
        self.used_bytes += size
        return True


class Lane:
    """Events in, frames out, in order. With a `journal` of its `epoch`, frames are kept in `memory` as far as it goes.
    `number` and `accepted`: where an epoch is gone on with."""

    __slots__ = (
        "_gathered",
        "_gathered_bytes",
        "_hole",
        "_journal",
        "_memory",
        "_next",
        "_positions",
        "accepted",
        "epoch",
        "frames",
        "holes",
        "partition",
    )

    def __init__(
        self,
        partition: int,
        *,
        epoch: int = 0,
        journal: Journal | None = None,
        memory: Memory | None = None,
        number: int = 0,
        accepted: int = 0,
    ) -> None:
        self.partition, self.epoch = partition, epoch
        self.frames: deque[Frame] = deque()
        self.holes: list[Hole] = []
        self.accepted = accepted
        self._journal, self._memory = journal, memory
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._positions: array[int] = array("Q")
        self._hole: Hole | None = None
        self._next = number

    @property
    def gathering(self) -> bool:
        """Events wait for a frame to be closed."""
        return bool(self._gathered)

    def add(self, exchange_id: str, events: list[bytes]) -> int:
        """Takes events of one exchange in; returns how many found room in the journal (all of them where there is
        none). A frame that is full is closed on the way."""
        self.end_hole()
        size = len(events[0]) if len(events) == 1 else sum(map(len, events))
        if self._gathered_bytes + size <= FRAME_MAX_BYTES or (len(events) == 1 and not self._gathered):
            return len(events) if self._take(exchange_id, events, size) else 0
        for count, event in enumerate(events):
            if self._gathered_bytes + len(event) > FRAME_MAX_BYTES:
                self.close_frame()
            if not self._take(exchange_id, [event], len(event)):
                return count
        return len(events)

    def _take(self, exchange_id: str, events: list[bytes], size: int) -> bool:
        if self._journal is not None:
            position = self._journal.append(self.partition, self._next, self.accepted, exchange_id, events)
            if position == NOWHERE:
                return False
            self._positions.append(position)
        self._gathered += events
        self._gathered_bytes += size
        self.accepted += len(events)
        return True

    def drop(self, exchange_id: str, events: list[bytes]) -> None:
        """Events for which there is no room."""
        if self._journal is not None:
            self._journal.dropped(exchange_id, events)
        if self._hole is None:
            self.close_frame()
            cause = QUEUE_FULL if self._journal is None else JOURNAL_FULL
            self._hole = Hole(self._next, cause=cause, epoch=self.epoch)
            self._next += 1
            self._note(self._hole)
        self._hole.add(exchange_id, len(events))

    def end_hole(self) -> None:
        """There is room again: the hole, if there is one, is complete."""
        if self._hole is not None:
            self.holes.append(self._hole)
            self._note(self._hole)
            self._hole = None

    def _note(self, hole: Hole) -> None:
        if self._journal is not None:
            note = GapNote(cause=hole.cause, exchanges=hole.exchanges)
            self._journal.gap(self.partition, hole.number, self.accepted, hole.events, note)

    def close_frame(self) -> None:
        """What was gathered becomes a frame that waits to be sent."""
        if self._gathered:
            size, positions = self._gathered_bytes, None
            value = None
            if self._memory is None or self._memory.take(size):
                value = write_frame(self._gathered)
            else:
                positions, self._positions = self._positions, array("Q")
            frame = Frame(self._next, value, len(self._gathered), size, positions=positions)
            frame.epoch, frame.accepted = self.epoch, self.accepted
            self.frames.append(frame)
            self._next += 1
            self._gathered = []
            self._gathered_bytes = 0
            del self._positions[:]

    def done(self) -> Frame:
        """The first frame is in Kafka, or never will be."""
        frame = self.frames.popleft()
        if self._memory is not None and frame.value is not None:
            self._memory.used_bytes -= frame.events_bytes
        return frame

    def take_holes(self) -> list[Hole]:
        """The holes that are complete and have not been reported."""
        holes, self.holes = self.holes, []
        return holes
