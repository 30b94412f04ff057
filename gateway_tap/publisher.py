"""The seam between exchanges and Kafka: what a relay may ask of whoever publishes its events.

`publish.KafkaPublisher` is the real one, `memory.MemoryPublisher` keeps everything in lists; one suite of tests runs
over both.
"""

import asyncio
from typing import Protocol

from penstock.schemas.audit import AuditEvent


class Publisher(Protocol):
    """Takes events and never blocks. All methods are called on the event loop's thread."""

    @property
    def partitions(self) -> int:
        """How many partitions the traffic topic has."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether events would be accepted now, with some to spare for exchanges that run; new requests may be refused
        or wait while they would not."""
        ...

    def room(self) -> "asyncio.Future[None]":
        """Done once `has_room` is true."""
        ...

    def publish(self, partition: int, exchange_id: str, events: list[bytes]) -> bool:
        """Takes encoded events of one exchange, in order; accepted events are published in that order per partition.
        False: they found no room, were dropped and counted, and will be reported as a gap."""
        ...

    def partial(self, exchange_id: str, data: bytes, hidden: int) -> None:
        """Bytes of an answer that the client gets before the event that will hold them can be made; the next chunk of
        the exchange makes up for all of them. `hidden`: so many bytes behind `data` may be the beginning of a
        credential, and are not told."""
        ...

    def acknowledged(self, partition: int) -> "asyncio.Future[None]":
        """Done once everything published to `partition` so far is acknowledged; hurries it along. Cancelling the
        future takes nothing back."""
        ...

    def audit(self, event: AuditEvent) -> None:
        """Publishes an audit event as soon as Kafka takes it."""
        ...
