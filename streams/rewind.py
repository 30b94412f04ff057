"""Edge: reads a part of one partition again with a consumer of its own, beside the worker's group."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.structs import TopicPartition

from penstock.schemas.topics import MAX_MESSAGE_BYTES

from .running import born_at_us

CLOCK_MARGIN_MS: Final = 60_000
"""How far the tap's clock may be ahead of the broker's."""


class Rewinder:
    """Reads ranges of partitions. Every error is Kafka's own (KafkaError, OSError): trying again is sound."""

    def __init__(self, client: dict[str, Any]) -> None:
        self._client = client

    async def whole(self, topic: str, partition: int) -> AsyncIterator[ConsumerRecord]:
        """The records that the partition holds at the time of the call, in order."""
        place = TopicPartition(topic, partition)
        async with self._consumer(place) as consumer:
            end = (await consumer.end_offsets([place]))[place]
            async for record in _until(consumer, place, 0, end):
                yield record

    async def part(self, topic: str, partition: int, first: int, end: int) -> AsyncIterator[ConsumerRecord]:
        """The records from offset `first` (or from the start of the log, if that is later) to before `end`."""
        place = TopicPartition(topic, partition)
        async with self._consumer(place) as consumer:
            async for record in _until(consumer, place, first, end):
                yield record

    async def first_offset(self, topic: str, partition: int, wanted: Iterable[tuple[str, int | None]], end: int) -> int:
        """Where to begin reading to find the beginnings of exchanges before `end`: the smallest offset stamped on them;
        for one that has none, by the time that its id holds."""
        stamps, times_ms = [], []
        for name, start in wanted:
            made_us = born_at_us(name, -1)
            if start is not None:
                stamps.append(start)
            elif made_us >= 0:
                times_ms.append(max(0, made_us // 1000 - CLOCK_MARGIN_MS))
        place = TopicPartition(topic, partition)
        if times_ms:
            async with self._consumer(place) as consumer:
                found = (await consumer.offsets_for_times({place: min(times_ms)}))[place]
            stamps.append(end if found is None else found.offset)
        return min([end, *stamps])

    @asynccontextmanager
    async def _consumer(self, place: TopicPartition) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            **self._client,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
        )
        await consumer.start()
        try:
            consumer.assign([place])
            yield consumer
        finally:
            await consumer.stop()


async def _until(
    consumer: AIOKafkaConsumer, place: TopicPartition, first: int, end: int
) -> AsyncIterator[ConsumerRecord]:
    begin = (await consumer.beginning_offsets([place]))[place]
    if max(first, begin) >= end:
        return
    consumer.seek(place, max(first, begin))
    while await consumer.position(place) < end:
        for record in (await consumer.getmany(place, timeout_ms=1000)).get(place, []):
            if record.offset < end:
                yield record
