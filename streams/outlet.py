"""Edge: sends what the meter says, signed where it is an order, each record at once and in order per partition.

One idempotent producer with no linger: a record that Kafka did not take is sent again until it is taken, never twice.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaProducer

from penstock.schemas.control import Order, sign_order
from penstock.schemas.records import write_record
from penstock.schemas.topics import MAX_STATE_BYTES

from .emission import Emission

PENDING_MAX = 20_000


class Outlet:
    """The meter's way to Kafka. `source` names the worker in every record, `secret` signs orders."""

    def __init__(self, client: dict[str, Any], source: str, secret: bytes) -> None:
        self._client = client
        self._source = source
        self._secret = secret
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._pending: set[asyncio.Future[Any]] = set()

    async def send(self, emission: Emission) -> None:
        """Hands the record on; returns before Kafka has it. Waits while very much is under way. KafkaError where it can
        never be sent."""
        producer = await self._started()
        if len(self._pending) >= PENDING_MAX:
            await self.delivered()
        value, headers = None, None
        model = emission.model
        if model is not None:
            record = write_record(
                sign_order(model, self._secret) if isinstance(model, Order) else model,
                id=emission.id,
                type=emission.type,
                source=self._source,
                subject=emission.subject,
                time_us=emission.time_us,
                exchange_id=emission.exchange_id,
            )
            value, headers = record.value, record.headers()
        self._pending.add(
            await producer.send(
                emission.topic,
                value,
                key=emission.key.encode(),
                partition=emission.partition,
                headers=headers,
            )
        )

    async def open(self, topics: Iterable[str]) -> None:
        """Connects, and learns where `topics` lie, so that the first record of each waits for nothing."""
        producer = await self._started()
        for topic in topics:
            await producer.partitions_for(topic)

    async def delivered(self) -> None:
        """Returns once Kafka has acknowledged everything handed on before the call. KafkaError where it refused any:
        nothing that depends on it may then be acknowledged."""
        waiting = set(self._pending)
        if waiting:
            await asyncio.gather(*waiting)
        self._pending -= waiting

    async def close(self) -> None:
        """Sends what is under way, then closes."""
        if self._producer is not None:
            await self._producer.stop()

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._client,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=0,
                    max_request_size=MAX_STATE_BYTES,
                )
                await producer.start()
                self._producer = producer
            return self._producer
