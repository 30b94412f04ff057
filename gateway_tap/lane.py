"""Pure: one partition's events on their way to Kafka: what is gathered, which frames wait, what was dropped.

Frame numbers are dense from 0 per (tap, epoch, partition). Events that find no room are dropped with a frame number of
their own, so that the hole is visible to whoever counts frames; `Hole` says what was in it.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from penstock.schemas.frames import FRAME_MAX_BYTES, write_frame

HOLE_NAMES: Final = 100


@dataclass(slots=True)
class Frame:
    """One frame. `tried`: it was sent before and the answer is unknown, so it may exist twice."""

    number: int
    value: bytes
    events: int
    events_bytes: int
    tried: bool = False


@dataclass(slots=True)
class Hole:
    """A frame number that will never be published: how many events it stands for, and of which exchanges."""

    number: int
    events: int = 0
    exchanges: list[str] = field(default_factory=list)
    cause: str = "the queue to Kafka was full"

    def add(self, exchange_id: str, events: int) -> None:
        """More events that were dropped."""
        self.events += events
        if len(self.exchanges) < HOLE_NAMES and exchange_id not in self.exchanges:
            self.exchanges.append(exchange_id)


class Lane:
    """Events in, frames out, in order."""

    __slots__ = ("_gathered", "_gathered_bytes", "_hole", "_next", "accepted", "frames", "holes", "partition")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.frames: deque[Frame] = deque()
        self.holes: list[Hole] = []
        self.accepted = 0
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._hole: Hole | None = None
        self._next = 0

    @property
    def gathering(self) -> bool:
        """Events wait for a frame to be closed."""
        return bool(self._gathered)

    def add(self, events: list[bytes]) -> None:
        """Takes events in. A frame that is full is closed on the way."""
        self.end_hole()
        gathered_bytes = self._gathered_bytes
        for event in events:
            size = len(event)
            if gathered_bytes + size > FRAME_MAX_BYTES and self._gathered:
                self._gathered_bytes = gathered_bytes
                self.close_frame()
                gathered_bytes = 0
            self._gathered.append(event)
            gathered_bytes += size
        self._gathered_bytes = gathered_bytes
        self.accepted += len(events)

    def drop(self, exchange_id: str, events: int) -> None:
        """Events for which there is no room."""
        if self._hole is None:
            self.close_frame()
            self._hole = Hole(self._next)
            self._next += 1
        self._hole.add(exchange_id, events)

    def end_hole(self) -> None:
        """There is room again: the hole, if there is one, is complete."""
        if self._hole is not None:
            self.holes.append(self._hole)
            self._hole = None

    def close_frame(self) -> None:
        """What was gathered becomes a frame that waits to be sent."""
        if self._gathered:
            self.frames.append(
                Frame(self._next, write_frame(self._gathered), len(self._gathered), self._gathered_bytes)
            )
            self._next += 1
            self._gathered = []
            self._gathered_bytes = 0

    def take_holes(self) -> list[Hole]:
        """The holes that are complete and have not been reported."""
        holes, self.holes = self.holes, []
        return holes
