"""Edge: reads standing orders and key records from Kafka, from the beginning to the end, then follows both topics.

Every tap reads both topics whole (one partition each, assigned by hand, no group). An order whose MAC is wrong is
ignored and audited. `heard_s` is when Kafka last answered, which is how a silent control channel shows.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from penstock.schemas import topics
from penstock.schemas.audit import AuditEvent
from penstock.schemas.control import Order, check_order
from penstock.schemas.errors import EventError, ServiceUnavailable
from penstock.schemas.keys import KeyRecord
from penstock.schemas.records import read_value

from .core import Core
from .link import why
from .snapshot import Held

PARTITIONS: Final = (TopicPartition(topics.CONTROL, 0), TopicPartition(topics.KEYS, 0))
POLL_MS: Final = 500
CONTACT_EVERY_S: Final = 1.0
CONTACT_WAIT_S: Final = 5.0
BACKOFF_MAX_S: Final = 5.0

log = structlog.get_logger("penstock.tap.control")


class Control:
    """Applies what the control and keys topics say to `core`. `run` until cancelled."""

    def __init__(self, core: Core, secrets: list[bytes], client: Callable[[], dict[str, Any]]) -> None:
        self.read_to_end = asyncio.Event()
        self.heard_s = core.clock.monotonic_s()
        self.rejected = self.changes = 0
        self._unconfirmed: set[tuple[str, str]] = set()
        self._core = core
        self._secrets = secrets
        self._client = client

    @property
    def silent_s(self) -> float:
        """Seconds since Kafka last answered."""
        return self._core.clock.monotonic_s() - self.heard_s

    async def run(self) -> None:
        """Reads, and follows; begins again from the beginning after a failure, which repeats no order (epochs)."""
        backoff_s = 0.1
        while True:
            try:
                await self._follow()
            except (KafkaError, ServiceUnavailable, OSError) as error:
                log.warning("control_lost", error=type(error).__name__, reason=why(error), retry_s=backoff_s)
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(
            **self._client(), enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=POLL_MS
        )
        contact: asyncio.Task[None] | None = None
        try:
            await consumer.start()
            consumer.assign(PARTITIONS)
            await consumer.seek_to_beginning(*PARTITIONS)
            ends = await consumer.end_offsets(PARTITIONS)
            self._heard()
            contact = asyncio.create_task(self._keep_contact(consumer))
            while True:
                self._apply(await consumer.getmany(timeout_ms=POLL_MS))
                if not self.read_to_end.is_set() and await _reached(consumer, ends):
                    self.confirm()
                    self.read_to_end.set()
                    log.info("control_read", orders=len(self._core.orders))
        finally:
            if contact is not None:
                contact.cancel()
            await consumer.stop()

    async def _keep_contact(self, consumer: Any) -> None:
        """Asks Kafka something once a second: an empty poll does not tell a quiet topic from a broker that is away."""
        while True:
            await asyncio.sleep(CONTACT_EVERY_S)
            try:
                await asyncio.wait_for(consumer.end_offsets(PARTITIONS), CONTACT_WAIT_S)
            except (KafkaError, TimeoutError) as error:
                log.warning("control_silent", silent_s=round(self.silent_s, 1), error=type(error).__name__)
            else:
                self._heard()

    def _heard(self) -> None:
        self.heard_s = self._core.clock.monotonic_s()

    def _apply(self, batches: dict[Any, list[Any]]) -> None:
        for partition, records in batches.items():
            self._heard()
            take = self.take_order if partition.topic == topics.CONTROL else self.take_key
            for record in records:
                take((record.key or b"").decode("utf-8", "replace"), record.value)

    def start_with(self, held: Held) -> None:
        """What a snapshot says, until the topics have been read."""
        now_us = self._core.clock.now_us()
        for order in held.orders:
            self._core.orders.apply(order, now_us)
            self._unconfirmed.add((topics.CONTROL, order.key))
        for record in held.keys:
            self._core.keys.apply(record.id, record)
            self._unconfirmed.add((topics.KEYS, record.id))

    def confirm(self) -> None:
        """Both topics have been read to their end: what only a snapshot knew holds no more."""
        for topic, key in self._unconfirmed:
            if topic == topics.CONTROL:
                self._core.orders.lift(key)
            else:
                self._core.keys.apply(key, None)
        self._unconfirmed.clear()

    def held(self) -> Held:
        """What a snapshot should say now."""
        core = self._core
        return Held(at_us=core.clock.now_us(), orders=tuple(core.orders.live()), keys=tuple(core.keys.records()))

    def take_order(self, key: str, value: bytes | None) -> None:
        """One record of the control topic."""
        core, now_us = self._core, self._core.clock.now_us()
        self.changes += 1
        self._unconfirmed.discard((topics.CONTROL, key))
        if value is None:
            core.orders.lift(key)
            return
        try:
            order = read_value(Order, value)
            check_order(order, self._secrets)
        except EventError as error:
            self._reject(key, str(error), now_us)
            return
        standing = core.orders.apply(order, now_us)
        if standing is not None and order.action == "kill":
            core.kill(standing)

    def take_key(self, key: str, value: bytes | None) -> None:
        """One record of the keys topic."""
        self.changes += 1
        self._unconfirmed.discard((topics.KEYS, key))
        record = None
        if value is not None:
            try:
                record = read_value(KeyRecord, value)
            except EventError as error:
                log.warning("key_record_ignored", key_id=key, reason=str(error))
                return
        self._core.keys.apply(key, record)

    def _reject(self, key: str, reason: str, now_us: int) -> None:
        self.rejected += 1
        tap = f"tap:{self._core.tap.id}"
        log.warning("order_rejected", key=key, reason=reason)
        self._core.publisher.audit(
            AuditEvent(
                act="order_rejected",
                subject=tap,
                actor=tap,
                reason=reason,
                at_us=now_us,
                details={"key": key[:256]},
            )
        )


async def _reached(consumer: Any, ends: dict[Any, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return False
    return True
