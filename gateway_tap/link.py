"""Edge: the tap's one Kafka producer, made again when it can no longer be used."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.topics import MAX_MESSAGE_BYTES

BATCH_MAX_BYTES: Final = 1_000_000
BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MAX_S: Final = 5.0
STOP_WAIT_S: Final = 2.0

log = structlog.get_logger("penstock.tap.kafka")


def why(error: Exception) -> str:
    """What to log beside an error's type: our own words alone. Those of a client may hold what it was given."""
    return str(error) if isinstance(error, ServiceUnavailable) else ""


class Link:
    """Gives a started producer (idempotent, acks=all) to whoever asks, and waits for Kafka as long as it takes.

    `client` gives the keyword arguments of every Kafka client; it is asked again for each attempt, since an embedded
    broker may come up later, elsewhere.
    """

    def __init__(self, client: Callable[[], dict[str, Any]]) -> None:
        self._client = client
        self._producer: Any = None
        self._connecting = asyncio.Lock()

    async def producer(self) -> Any:
        """The producer; returns at once where there is one."""
        async with self._connecting:
            backoff_s = BACKOFF_FIRST_S
            while self._producer is None:
                try:
                    self._producer = await self._connect()
                except (KafkaError, ServiceUnavailable, OSError) as error:
                    log.warning("kafka_away", error=type(error).__name__, reason=why(error), retry_s=backoff_s)
                    await asyncio.sleep(backoff_s)
                    backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)
            return self._producer

    async def discard(self, producer: Any, error: KafkaError) -> None:
        """`producer` failed for good; the next call of `producer` makes another."""
        if self._producer is producer:
            self._producer = None
            log.warning("producer_discarded", error=type(error).__name__)
            await self._stop(producer)
            await asyncio.sleep(BACKOFF_FIRST_S)

    async def close(self) -> None:
        """Ends the connection; what is still in flight is left to its fate after a short wait."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._stop(producer)

    async def _connect(self) -> Any:
        producer = AIOKafkaProducer(
            **self._client(),
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_MAX_BYTES,
            max_request_size=MAX_MESSAGE_BYTES,
            request_timeout_ms=15_000,
        )
        try:
            await producer.start()
        except BaseException:
            await self._stop(producer)
            raise
        log.info("kafka_connected")
        return producer

    async def _stop(self, producer: Any) -> None:
        try:
            await asyncio.wait_for(producer.stop(), STOP_WAIT_S)
        except (KafkaError, TimeoutError) as error:
            log.info("producer_stop", error=type(error).__name__)
