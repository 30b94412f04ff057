"""Edge: sends one partition's frames: closes a frame 25 ms after its first event, sends what waits as one batch, waits
for the acknowledgement, goes on with the next. So order holds whatever fails in between.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from penstock.schemas import topics
from penstock.schemas.frames import HEADER_FRAME, HEADER_REPLAYED

from .lane import Frame, Hole, Lane
from .link import Link

FLUSH_AFTER_S: Final = 0.025
Header = tuple[str, bytes]
Freed = Callable[[Lane, int, int], None]
"""Called with events and bytes that Kafka has acknowledged."""

log = structlog.get_logger("penstock.tap.publish")


class Sender:
    """Sends one lane, batch after batch; at most one batch is in flight. `headers` names the tap and its epoch, `freed`
    hears what Kafka has acknowledged."""

    def __init__(self, lane: Lane, link: Link, headers: list[Header], freed: Freed) -> None:
        self.lane = lane
        self._link = link
        self._base_headers = headers
        self._freed = freed
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._in_flight = False
        self._delivered = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def outstanding(self) -> int:
        """Accepted events that Kafka has not acknowledged."""
        return self.lane.accepted - self._delivered

    def add(self, events: list[bytes]) -> None:
        """More events; a timer sees to it that they do not wait longer than 25 ms for company."""
        self.lane.add(events)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_AFTER_S, self._flush)
        if self.lane.frames and not self._in_flight:
            self._wake.set()

    def acknowledged(self) -> "asyncio.Future[None]":
        """Sends at once where nothing is in flight; else with the next batch."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self.outstanding:
            future.set_result(None)
            return future
        self._waiting.append((self.lane.accepted, future))
        if not self._in_flight:
            self._flush()
        return future

    async def run(self) -> None:
        """Until cancelled: sends what waits. A batch whose outcome is unknown is sent again, marked as replayed."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self.lane.frames:
                self._in_flight = True
                await self._send_batch(await self._link.producer())
                self._in_flight = False
                if self._waiting:
                    self.lane.close_frame()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.lane.close_frame()
        if self.lane.frames:
            self._wake.set()

    async def _send_batch(self, producer: Any) -> None:
        batch, frames = producer.create_batch(), list[Frame]()
        for frame in self.lane.frames:
            if batch.append(timestamp=None, key=None, value=frame.value, headers=self._headers(frame)) is None:
                break
            frames.append(frame)
        try:
            await (await producer.send_batch(batch, topics.TRAFFIC, partition=self.lane.partition))
        except MessageSizeTooLargeError:
            self._refused(frames)
        except KafkaError as error:
            for frame in frames:
                frame.tried = True
            await self._link.discard(producer, error)
        else:
            self._done(frames)

    def _done(self, frames: list[Frame]) -> None:
        for frame in frames:
            self.lane.frames.popleft()
            self._delivered += frame.events
        self._freed(self.lane, sum(frame.events for frame in frames), sum(frame.events_bytes for frame in frames))
        while self._waiting and self._waiting[0][0] <= self._delivered:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)

    def _refused(self, frames: list[Frame]) -> None:
        """The broker will never take these: they become a hole, and the lane goes on."""
        for frame in frames:
            self.lane.holes.append(Hole(frame.number, frame.events, cause="the broker refused the frame's size"))
        log.error("frame_refused", partition=self.lane.partition, frames=len(frames))
        self._done(frames)

    def _headers(self, frame: Frame) -> list[Header]:
        headers = [*self._base_headers, (HEADER_FRAME, b"%d" % frame.number)]
        return [*headers, (HEADER_REPLAYED, b"1")] if frame.tried else headers
