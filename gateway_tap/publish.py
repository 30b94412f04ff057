"""Edge: publishes to Kafka: events to the lane of their partition, audit events one by one.

Memory is bounded by `queue_max_bytes`: events beyond it are dropped with a frame number of their own and a `gap` audit
event, published once Kafka takes it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError

from penstock.schemas import audit as audits
from penstock.schemas import topics
from penstock.schemas.audit import AuditEvent, Gap
from penstock.schemas.frames import HEADER_EPOCH, HEADER_TAP
from penstock.schemas.records import Record, write_record

from .clock import Clock
from .lane import Hole, Lane
from .link import Link
from .sender import Sender
from .started import started_event

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
        headers = [(HEADER_TAP, tap.encode()), (HEADER_EPOCH, b"%d" % epoch)]
        self._senders = [Sender(Lane(number), self._link, headers, self._freed) for number in range(partitions)]
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

    def _freed(self, lane: Lane, events: int, size: int) -> None:
        """A sender's word of what was acknowledged."""
        self.delivered += events
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
