"""Edge: sends one partition's frames: closes a frame 25 ms after its first event, sends what waits as one batch, waits
for the acknowledgement, goes on with the next. So order holds whatever fails in between.

While a batch is under way, or Kafka is away, events go on gathering into full frames: what waits stays few and large.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from penstock.schemas import topics
from penstock.schemas.frames import HEADER_EPOCH, HEADER_FRAME, HEADER_REPLAYED, HEADER_TAP, write_frame

from .journal import Journal
from .lane import Frame, Hole, Lane
from .link import BATCH_MAX_BYTES, Link

FLUSH_AFTER_S: Final = 0.025
Header = tuple[str, bytes]
Freed = Callable[[Lane, list[Frame]], None]
"""Called with frames that Kafka has acknowledged, or never will."""

log = structlog.get_logger("penstock.tap.publish")


class Sender:
    """Sends one lane, batch after batch; at most one batch is in flight. `before`: frames of earlier epochs, which go
    first; `freed` hears what Kafka has acknowledged."""

    def __init__(
        self,
        lane: Lane,
        link: Link,
        tap: str,
        freed: Freed,
        journal: Journal | None = None,
        before: Sequence[Frame] = (),
    ) -> None:
        self.lane = lane
        self._link = link
        self._tap = (HEADER_TAP, tap.encode())
        self._freed = freed
        self._journal = journal
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._in_flight = False
        self._due = False
        self._delivered = -sum(frame.events for frame in before)
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        lane.frames.extend(before)

    @property
    def outstanding(self) -> int:
        """Accepted events that Kafka has not acknowledged."""
        return self.lane.accepted - self._delivered

    def add(self, exchange_id: str, events: list[bytes]) -> int:
        """More events; returns how many found room. A timer sees to it that they do not wait longer than 25 ms for
        company."""
        taken = self.lane.add(exchange_id, events)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_AFTER_S, self._flush)
        if self.lane.frames and not self._in_flight:
            self._wake.set()
        return taken

    def acknowledged(self) -> "asyncio.Future[None]":
        """Sends at once where nothing is in flight; else with the next batch."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self.outstanding:
            future.set_result(None)
            return future
        self._waiting.append((self.lane.accepted, future))
        self._flush()
        return future

    async def run(self) -> None:
        """Until cancelled: sends what waits. A batch whose outcome is unknown is sent again, marked as replayed."""
        if self.lane.frames:
            self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self.lane.frames:
                self._in_flight = True
                await self._send_batch(await self._link.producer())
                self._in_flight = False
                if self._waiting or self._due:
                    self._due = False
                    self.lane.close_frame()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._in_flight:
            self._due = True
            return
        self.lane.close_frame()
        if self.lane.frames:
            self._wake.set()

    async def _send_batch(self, producer: Any) -> None:
        batch, frames = producer.create_batch(), list[Frame]()
        for frame, value in await self._values():
            if batch.append(timestamp=None, key=None, value=value, headers=self._headers(frame)) is None:
                break
            frames.append(frame)
        if not frames:
            return
        try:
            sent = await producer.send_batch(batch, topics.TRAFFIC, partition=self.lane.partition)
            await self._link.patiently(producer, sent)
        except MessageSizeTooLargeError:
            self._refused(frames, "the broker refused the frame's size")
        except KafkaError as error:
            for frame in frames:
                frame.tried = True
            await self._link.discard(producer, error)
        else:
            self._done(frames)

    async def _values(self) -> list[tuple[Frame, bytes]]:
        """The frames that may make up the next batch, read back from the journal where they lie in it alone."""
        found: list[tuple[Frame, bytes]] = []
        size = 0
        for frame in list(self.lane.frames):
            size += frame.events_bytes
            if found and size > BATCH_MAX_BYTES:
                break
            value = frame.value if frame.value is not None else await self._read(frame)
            if value is None:
                if not found:
                    self._refused([frame], "the journal could not be read back")
                break
            found.append((frame, value))
        return found

    async def _read(self, frame: Frame) -> bytes | None:
        assert self._journal is not None and frame.positions is not None
        try:
            return write_frame(await asyncio.to_thread(self._journal.read, frame.positions))
        except (OSError, ValueError) as error:
            log.error("journal_unreadable", partition=self.lane.partition, frame=frame.number, reason=str(error))
            return None

    def _done(self, frames: list[Frame]) -> None:
        for frame in frames:
            self.lane.done()
            self._delivered += frame.events
        self._freed(self.lane, frames)
        while self._waiting and self._waiting[0][0] <= self._delivered:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)

    def _refused(self, frames: list[Frame], cause: str) -> None:
        """Kafka will never have these: they become a hole, and the lane goes on."""
        for frame in frames:
            self.lane.holes.append(Hole(frame.number, frame.events, cause=cause, epoch=frame.epoch))
        log.error("frame_refused", partition=self.lane.partition, frames=len(frames), cause=cause)
        self._done(frames)

    def _headers(self, frame: Frame) -> list[Header]:
        headers = [self._tap, (HEADER_EPOCH, b"%d" % frame.epoch), (HEADER_FRAME, b"%d" % frame.number)]
        return [*headers, (HEADER_REPLAYED, b"1")] if frame.tried else headers
