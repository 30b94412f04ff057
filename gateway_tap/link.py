"""Edge: the tap's one Kafka producer, made again when it can no longer be used."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from penstock.schemas.errors import PenstockError, ServiceUnavailable
from penstock.schemas.topics import MAX_MESSAGE_BYTES

BATCH_MAX_BYTES: Final = 1_000_000
BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MAX_S: Final = 5.0
STOP_WAIT_S: Final = 2.0
LOOK_AGAIN_S: Final = 1.0
"""How long an acknowledgement is waited for before it is asked whether the broker is somewhere else by now."""

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
        self._arguments: dict[str, Any] = {}
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

    async def patiently(self, producer: Any, sent: "asyncio.Future[Any]") -> None:
        """Waits for an acknowledgement, however long it takes. KafkaError where it failed, or where the broker has
        moved: an idempotent producer asks for ever where the old one was."""
        while not (await asyncio.wait({sent}, timeout=LOOK_AGAIN_S))[0]:
            if producer is not self._producer or self._has_moved():
                sent.add_done_callback(_heard)
                raise KafkaConnectionError("the broker is elsewhere")
        await sent

    def _has_moved(self) -> bool:
        try:
            return bool(self._client()["bootstrap_servers"] != self._arguments["bootstrap_servers"])
        except PenstockError:
            return False  # it is away, and may come back where it was

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
        self._arguments = self._client()
        producer = AIOKafkaProducer(
            **self._arguments,
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


def _heard(sent: "asyncio.Future[Any]") -> None:
    """Takes note of an outcome that nobody waits for any more, so that asyncio does not complain about it."""
    if not sent.cancelled():
        sent.exception()
