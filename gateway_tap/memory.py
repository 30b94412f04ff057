"""Pure: a publisher that keeps everything in lists, for tests of the tap and of programs beside it.

`hold` stops acknowledging, as if Kafka were away; `release` acknowledges what has waited.
"""

import asyncio

from penstock.schemas.audit import AuditEvent
from penstock.schemas.frames import Event, read_event

from .lane import Lane


class MemoryPublisher:
    """Keeps the contract of `publisher.Publisher`; acknowledges at once unless held."""

    def __init__(self, partitions: int = 4, queue_max_bytes: int = 1 << 62) -> None:
        self.lanes = [Lane(number) for number in range(partitions)]
        self.events: list[Event] = []
        self.audits: list[AuditEvent] = []
        self.partials: list[tuple[str, bytes, int]] = []
        self.queue_max_bytes = queue_max_bytes
        self.bytes = 0
        self._held = False
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def partitions(self) -> int:
        return len(self.lanes)

    @property
    def has_room(self) -> bool:
        return self.bytes < self.queue_max_bytes

    def room(self) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.has_room:
            future.set_result(None)
        else:
            self._waiting.append(future)
        return future

    def publish(self, partition: int, exchange_id: str, events: list[bytes]) -> bool:
        size = sum(map(len, events))
        if self._held and self.bytes + size > self.queue_max_bytes:
            self.lanes[partition].drop(exchange_id, events)
            return False
        if self._held:
            self.bytes += size
        self.lanes[partition].add(exchange_id, events)
        self.events += map(read_event, events)
        return True

    def partial(self, exchange_id: str, data: bytes, hidden: int) -> None:
        self.partials.append((exchange_id, data, hidden))

    def acknowledged(self, partition: int) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._held:
            self._waiting.append(future)
        else:
            future.set_result(None)
        return future

    def audit(self, event: AuditEvent) -> None:
        self.audits.append(event)

    def hold(self) -> None:
        """Kafka is away."""
        self._held = True

    def release(self) -> None:
        """Kafka is back."""
        self._held = False
        self.bytes = 0
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def exchange(self, exchange_id: str) -> list[Event]:
        """The events of one exchange, in order of publishing."""
        return [event for event in self.events if event.exchangeid == exchange_id]
