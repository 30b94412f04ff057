"""Edge: publishes to Kafka: events to the lane of their partition, audit events one by one.

Without a journal memory is bounded by `queue_max_bytes`: events beyond it are dropped with a frame number of their own
and a `gap` audit event, published once Kafka takes it. With a journal that bounds what waits, and events beyond
`queue_max_bytes` wait in it alone.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog

from penstock.schemas import audit as audits
from penstock.schemas.audit import AuditEvent, Gap
from penstock.schemas.records import Record, write_record

from .audits import Audits
from .clock import Clock
from .journal_keeper import JournalKeeper
from .journal_replay import Left, gap_record
from .lane import Frame, Hole, Lane, Memory
from .link import Link
from .sender import Sender
from .started import started_event

AWAY_S: Final = 1.0

log = structlog.get_logger("penstock.tap.publish")


class KafkaPublisher:
    """Keeps the contract of `publisher.Publisher` over a real broker. `start` before the first event, `close` last.
    `keeper`: an open journal; what it has left from an earlier process is sent first."""

    def __init__(
        self,
        tap: str,
        epoch: int,
        partitions: int,
        queue_max_bytes: int,
        client: Callable[[], dict[str, Any]],
        clock: Clock,
        keeper: JournalKeeper | None = None,
    ) -> None:
        self.tap, self.epoch = tap, epoch
        self.dropped = 0
        self.delivered = 0
        self.keeper = keeper
        self.journal = journal = keeper.journal if keeper else None
        self._clock = clock
        self._link = Link(client)
        self._max_bytes = queue_max_bytes
        self._dropping = False
        self.on_pressure: Callable[[bool], None] = lambda pressed: None
        self._pressed = False
        self._room: list[asyncio.Future[None]] = []
        if journal is not None:
            journal.on_pressed = self._look_at_pressure
        self._quiet_s = clock.monotonic_s()
        memory = None if journal is None else Memory(queue_max_bytes)
        left = keeper.take_left() if keeper else Left([[] for _ in range(partitions)])
        self.bytes = sum(frame.events_bytes for frames in left.frames for frame in frames)
        self._senders = [
            Sender(Lane(n, epoch=epoch, journal=journal, memory=memory), self._link, tap, self._freed, journal, frames)
            for n, frames in enumerate(left.frames)
        ]
        self._audits = Audits(self._link, epoch, journal, left.audits)
        self._acts = left.acts
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def partitions(self) -> int:
        return len(self._senders)

    @property
    def outstanding(self) -> int:
        """Accepted events that Kafka has not acknowledged."""
        return sum(sender.outstanding for sender in self._senders)

    @property
    def has_room(self) -> bool:
        if self.journal is not None:
            return not self._dropping and not self.journal.pressed
        return not self._dropping and self.bytes < self._max_bytes

    def room(self) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room.append(future)
        return future

    @property
    def waiting_s(self) -> float:
        """For how long something waits and Kafka acknowledges nothing."""
        now_s = self._clock.monotonic_s()
        if not self.bytes:
            self._quiet_s = now_s
        return now_s - self._quiet_s

    def start(self) -> None:
        """Announces this epoch in every partition, and begins to send."""
        now_us = self._clock.now_us()
        for sender in self._senders:
            self.publish(
                sender.lane.partition, "", [started_event(self.tap, self.epoch, sender.lane.partition, now_us)]
            )
            self._tasks.append(asyncio.create_task(sender.run()))
        for record in self._acts:
            self._audits.add(record)
        self._tasks.append(asyncio.create_task(self._audits.run()))
        if self.keeper is not None:
            self._tasks.append(asyncio.create_task(self.keeper.run(lambda: self.waiting_s, self.look_for_room)))

    def publish(self, partition: int, exchange_id: str, events: list[bytes]) -> bool:
        if not events:  # a piece of a body may be held back as a whole
            return True
        sender, journal = self._senders[partition], self.journal
        size = len(events[0]) if len(events) == 1 else sum(map(len, events))
        if self._dropping or (journal is None and self.bytes + size > self._max_bytes):
            self._drop(sender.lane, exchange_id, events)
            return False
        self.bytes += size
        taken = sender.add(exchange_id, events)
        if taken < len(events):
            self.bytes -= sum(map(len, events[taken:]))
            self._drop(sender.lane, exchange_id, events[taken:])
            return False
        return True

    def partial(self, exchange_id: str, data: bytes, hidden: int) -> None:
        if self.journal is not None:
            self.journal.partial(exchange_id, data, hidden)

    def _drop(self, lane: Lane, exchange_id: str, events: list[bytes]) -> None:
        if not self._dropping:
            self._dropping = True
            log.error("dropping", reason="the journal is full" if self.journal else "the queue to Kafka is full")
        self.dropped += len(events)
        lane.drop(exchange_id, events)

    def acknowledged(self, partition: int) -> "asyncio.Future[None]":
        return self._senders[partition].acknowledged()

    def audit(self, event: AuditEvent) -> None:
        self._publish_audit(
            write_record(
                event,
                id=f"audit/{self.tap}/{self.epoch}/{self._audits.number + 1}",
                type=audits.TYPE,
                source=f"/tap/{self.tap}",
                subject=event.subject,
                time_us=event.at_us,
                exchange_id=event.exchange_id,
            )
        )

    def _publish_audit(self, record: Record) -> None:
        if not self._audits.add(record):
            log.error("audit_dropped", id=record.id)

    def _freed(self, lane: Lane, frames: list[Frame]) -> None:
        """A sender's word of what was acknowledged."""
        self._quiet_s = self._clock.monotonic_s()
        self.delivered += sum(frame.events for frame in frames)
        self.bytes -= sum(frame.events_bytes for frame in frames)
        if self.journal is not None:
            last = frames[-1]
            self.journal.acknowledge(lane.partition, last.epoch, last.number, last.accepted)
        if lane.holes:
            self._report(lane)
        self.look_for_room()

    def look_for_room(self) -> None:
        """Ends a gap once there is room again, and tells those who wait for it."""
        if self._dropping and self._may_go_on():
            self._dropping = False
            log.warning("dropping_ended", dropped=self.dropped)
            for sender in self._senders:
                sender.lane.end_hole()
                self._report(sender.lane)
        self._look_at_pressure()
        if self._room and not self._pressed:
            waiting, self._room = self._room, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    def _look_at_pressure(self) -> None:
        if self.has_room is self._pressed:
            self._pressed = not self._pressed
            log.warning("pressed" if self._pressed else "not_pressed", waiting_bytes=self.bytes)
            self.on_pressure(self._pressed)

    def _may_go_on(self) -> bool:
        if self.journal is not None:
            return not self.journal.full
        return self.bytes * 8 <= self._max_bytes * 7

    def _report(self, lane: Lane) -> None:
        for hole in lane.take_holes():
            gap = self._gap(lane.partition, hole)
            self._publish_audit(gap_record(self.tap, lane.partition, gap, self._clock.now_us()))

    def _gap(self, partition: int, hole: Hole) -> Gap:
        return Gap(
            tap=self.tap,
            epoch=hole.epoch,
            partition=partition,
            events=hole.events,
            first_frame=hole.number,
            last_frame=hole.number,
            exchanges=hole.exchanges,
            cause=hole.cause,
        )

    async def close(self, within_s: float) -> int:
        """Sends what is left, for at most `within_s`; returns how many events were not acknowledged."""
        for sender in self._senders:
            sender.lane.end_hole()
            self._report(sender.lane)
        waiting = [sender.acknowledged() for sender in self._senders]
        sent = asyncio.create_task(self._audits.sent.wait())
        everything: list[asyncio.Future[Any]] = [*waiting, sent]
        away = self.journal is not None and self.waiting_s > AWAY_S  # what waits is sent at the next start
        await asyncio.wait(everything, timeout=0 if away else within_s)
        sent.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._link.close()
        if self.keeper is not None:
            await self.keeper.close()
        return self.outstanding
