"""Edge: the topic of checkpoints. One sealer may write it at a time; anyone may read it."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import TopicPartition

from penstock.schemas.addresses import kafka_client
from penstock.schemas.errors import ServiceUnavailable, UsageError
from penstock.schemas.settings import Settings
from penstock.schemas.topics import CHECKPOINTS

READ_WITHIN_S: Final = 20.0
_LOOK_BACK: Final = 100
_PLACE: Final = TopicPartition(CHECKPOINTS, 0)


class CheckpointWriter:
    """The right to publish checkpoints of one log. Taking it ends the right of whoever had it."""

    def __init__(self, settings: Settings) -> None:
        self._origin = settings.trail.origin
        self._producer = AIOKafkaProducer(
            transactional_id=f"penstock-seal-{self._origin}", request_timeout_ms=15_000, **kafka_client(settings)
        )

    async def start(self) -> None:
        """Takes the right to publish; from here on an older sealer's publications are refused by Kafka."""
        try:
            await self._producer.start()
        except (KafkaError, OSError) as error:
            await self._producer.stop()
            raise ServiceUnavailable(f"Kafka does not answer ({type(error).__name__}): is it running?") from error

    async def publish(self, note: str) -> None:
        """Returns when Kafka has the checkpoint. UsageError where a newer sealer took over; after ServiceUnavailable
        it is unknown whether Kafka has it, and this object can no longer be used."""
        try:
            async with self._producer.transaction():
                await self._producer.send_and_wait(CHECKPOINTS, note.encode(), key=self._origin.encode(), partition=0)
        except ProducerFenced as error:
            raise UsageError(f"another sealer of {self._origin} took over: let one run, and stop the other") from error
        except (KafkaError, OSError) as error:
            raise ServiceUnavailable(f"Kafka did not take a checkpoint ({type(error).__name__})") from error

    async def stop(self) -> None:
        await self._producer.stop()


async def last_published(settings: Settings) -> str | None:
    """The last checkpoint of this log on the topic, as a signed note; None where it has none."""
    async with _Reader(settings) as reader:
        begin, end = await reader.bounds()
        window, first = _LOOK_BACK, end
        while first > begin:
            first = max(begin, end - window)
            found = [note async for note in reader.read(first, end)]
            if found:
                return found[-1]
            window *= 8
    return None


async def all_published(settings: Settings) -> AsyncIterator[str]:
    """Every checkpoint of this log on the topic, oldest first, as signed notes."""
    async with _Reader(settings) as reader:
        begin, end = await reader.bounds()
        async for note in reader.read(begin, end):
            yield note


class _Reader:
    """A consumer of its own, without a group."""

    def __init__(self, settings: Settings) -> None:
        self._origin = settings.trail.origin.encode()
        self._consumer = AIOKafkaConsumer(
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            request_timeout_ms=15_000,
            **kafka_client(settings),
        )

    async def __aenter__(self) -> "_Reader":
        try:
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            await self._consumer.stop()
            raise ServiceUnavailable(f"Kafka does not answer ({type(error).__name__}): is it running?") from error
        self._consumer.assign([_PLACE])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def bounds(self) -> tuple[int, int]:
        try:
            begin = await self._consumer.beginning_offsets([_PLACE])
            end = await self._consumer.end_offsets([_PLACE])
        except (KafkaError, OSError) as error:
            raise ServiceUnavailable(f"topic {CHECKPOINTS} cannot be read: run `penstock topics`") from error
        return int(begin[_PLACE]), int(end[_PLACE])

    async def read(self, begin: int, end: int) -> AsyncIterator[str]:
        """This log's notes between two offsets. Markers of transactions take offsets too, and carry nothing."""
        self._consumer.seek(_PLACE, begin)
        deadline = time.monotonic() + READ_WITHIN_S
        while await self._consumer.position(_PLACE) < end:
            try:
                found = await self._consumer.getmany(_PLACE, timeout_ms=200)
            except KafkaError as error:
                raise ServiceUnavailable(f"topic {CHECKPOINTS} cannot be read ({type(error).__name__})") from error
            for record in found.get(_PLACE, []):
                deadline = time.monotonic() + READ_WITHIN_S
                if record.key == self._origin and record.value is not None and record.offset < end:
                    yield record.value.decode("utf-8", "replace")
            if time.monotonic() > deadline:
                raise ServiceUnavailable(f"topic {CHECKPOINTS} stopped answering at an open transaction")
            await asyncio.sleep(0)
