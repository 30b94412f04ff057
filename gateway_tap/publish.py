"""Edge: publishes frames to Kafka: gather per partition, close a frame 25 ms after its first event or at 200 KB, send,
wait for the acknowledgement, go on with the next. One batch is in flight per partition, so order holds whatever fails.

Memory is bounded by `queue_max_bytes`: events beyond it are dropped with a frame number of their own and a `gap` audit
event, published once Kafka takes it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from penstock.schemas import audit as audits
from penstock.schemas import topics
from penstock.schemas.audit import AuditEvent, Gap
from penstock.schemas.frames import HEADER_EPOCH, HEADER_FRAME, HEADER_REPLAYED, HEADER_TAP
from penstock.schemas.records import Record, write_record

from .clock import Clock
from .lane import Frame, Hole, Lane
from .link import Link
from .started import started_event

FLUSH_AFTER_S: Final = 0.025
AUDIT_MAX: Final = 10_000

log = structlog.get_logger("penstock.tap.publish")


class KafkaPublisher:
    """Keeps the contract of `publisher.Publisher` over a real broker. `start` before the first event, `close` last."""

    def __init__(
        self,
        tap: str,
        epoch: int,
        partitions: int,
        queue_max_bytes: int,
        client: Callable[[], dict[str, Any]],
        clock: Clock,
    ) -> None:
        self.tap, self.epoch = tap, epoch
        self.dropped = 0
        self.delivered = 0
        self.bytes = 0
        self._clock = clock
        self._link = Link(client)
        self._max_bytes = queue_max_bytes
        self._dropping = False
        self._senders = [_Sender(self, Lane(number), self._link) for number in range(partitions)]
        self._audits: deque[Record] = deque()
        self._audit_wake = asyncio.Event()
        self._audits_sent = asyncio.Event()
        self._audits_sent.set()
        self._audit_number = 0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def partitions(self) -> int:
        return len(self._senders)

    @property
    def has_room(self) -> bool:
        return not self._dropping and self.bytes < self._max_bytes

    def start(self) -> None:
        """Announces this epoch in every partition, and begins to send."""
        now_us = self._clock.now_us()
        for sender in self._senders:
            self.publish(
                sender.lane.partition, "", [started_event(self.tap, self.epoch, sender.lane.partition, now_us)]
            )
            self._tasks.append(asyncio.create_task(sender.run()))
        self._tasks.append(asyncio.create_task(self._send_audits()))

    def publish(self, partition: int, exchange_id: str, events: list[bytes]) -> bool:
        size = sum(map(len, events))
        sender = self._senders[partition]
        if self._dropping or self.bytes + size > self._max_bytes:
            self._dropping = True
            self.dropped += len(events)
            sender.lane.drop(exchange_id, len(events))
            return False
        self.bytes += size
        sender.add(events)
        return True

    def acknowledged(self, partition: int) -> "asyncio.Future[None]":
        return self._senders[partition].acknowledged()

    def audit(self, event: AuditEvent) -> None:
        if len(self._audits) >= AUDIT_MAX:
            log.error("audit_dropped", act=event.act)
            return
        self._audit_number += 1
        self._audits.append(
            write_record(
                event,
                id=f"audit/{self.tap}/{self.epoch}/{self._audit_number}",
                type=audits.TYPE,
                source=f"/tap/{self.tap}",
                subject=event.subject,
                time_us=event.at_us,
                exchange_id=event.exchange_id,
            )
        )
        self._audits_sent.clear()
        self._audit_wake.set()

    def freed(self, lane: Lane, size: int) -> None:
        """A sender's word that `size` bytes were acknowledged."""
        self.bytes -= size
        if self._dropping and self.bytes * 8 <= self._max_bytes * 7:
            self._dropping = False
            for sender in self._senders:
                sender.lane.end_hole()
                self._report(sender.lane)
        elif lane.holes:
            self._report(lane)

    def _report(self, lane: Lane) -> None:
        for hole in lane.take_holes():
            self.audit(self._gap(lane.partition, hole))

    def _gap(self, partition: int, hole: Hole) -> AuditEvent:
        gap = Gap(
            tap=self.tap,
            epoch=self.epoch,
            partition=partition,
            events=hole.events,
            first_frame=hole.number,
            last_frame=hole.number,
            exchanges=hole.exchanges,
            cause=hole.cause,
        )
        return AuditEvent(
            act="gap",
            subject=f"tap:{self.tap}",
            actor=f"tap:{self.tap}",
            reason=hole.cause,
            at_us=self._clock.now_us(),
            details=gap.model_dump(),
        )

    async def close(self, within_s: float) -> int:
        """Sends what is left, for at most `within_s`; returns how many events were not acknowledged."""
        for sender in self._senders:
            sender.lane.end_hole()
            self._report(sender.lane)
        waiting = [sender.acknowledged() for sender in self._senders]
        sent = asyncio.create_task(self._audits_sent.wait())
        everything: list[asyncio.Future[Any]] = [*waiting, sent]
        await asyncio.wait(everything, timeout=within_s)
        sent.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._link.close()
        return sum(sender.outstanding for sender in self._senders)

    async def _send_audits(self) -> None:
        while True:
            await self._audit_wake.wait()
            self._audit_wake.clear()
            while self._audits:
                record = self._audits[0]
                producer = await self._link.producer()
                try:
                    await producer.send_and_wait(
                        topics.AUDIT, record.value, key=record.subject.encode(), headers=record.headers()
                    )
                except KafkaError as error:
                    await self._link.discard(producer, error)
                    continue
                self._audits.popleft()
            self._audits_sent.set()


class _Sender:
    """Sends one lane, batch after batch."""

    def __init__(self, owner: KafkaPublisher, lane: Lane, link: Link) -> None:
        self.lane = lane
        self._owner = owner
        self._link = link
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
            self._owner.delivered += frame.events
        self._owner.freed(self.lane, sum(frame.events_bytes for frame in frames))
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

    def _headers(self, frame: Frame) -> list[tuple[str, bytes]]:
        headers = [
            (HEADER_TAP, self._owner.tap.encode()),
            (HEADER_EPOCH, b"%d" % self._owner.epoch),
            (HEADER_FRAME, b"%d" % frame.number),
        ]
        return [*headers, (HEADER_REPLAYED, b"1")] if frame.tried else headers
