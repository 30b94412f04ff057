"""The record worker: the one writer of the store's rows, from every topic that is recorded.

Two agents, one for traffic and one for all other topics. Each takes a batch, decodes it, stores it, and then
acknowledges the whole batch in order; nothing is acknowledged before its rows are stored, and what is delivered again
is recognised by the store's own marks. A store that is away is waited for, for ever.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import faust
import structlog

from penstock.schemas import topics
from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.frames import FRAME_MAX_BYTES
from penstock.schemas.settings import Settings

from .app import instance_of, make_app
from .attempts import Attempts
from .deadletter import DeadLetters
from .decode import dead, decode
from .rows import holes
from .source import GIVEN_UP, Item, Source, bounded
from .store import Store

NAME: Final = "record"
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 5.0

_log = structlog.get_logger("penstock.streams.record")
Answer = TypeVar("Answer")


class Recorder:
    """What one agent does with a batch. Not shared between agents."""

    def __init__(self, store: Store, attempts: Attempts, letters: DeadLetters) -> None:
        self._store = store
        self._attempts = attempts
        self._letters = letters

    async def record(self, sources: Sequence[Source]) -> None:
        """Returns once every event of `sources` is a row, or a dead letter and a row. Waits for the store for ever;
        what else fails crashes the worker."""
        for portion in self._attempts.portions(sources):
            items = await self._decode(portion)
            unstored, marks = await self._patiently(self._store.unstored, items)
            await self._letters.report(holes(unstored, marks), time.time_ns() // 1000)
            await self._letters.publish(unstored)
            try:
                await self._patiently(self._store.write, unstored)
            except ValueError:
                self._attempts.begin(portion)
                raise

    async def _decode(self, portion: Sequence[Source]) -> list[Item]:
        if self._attempts.given_up(portion):
            items = [dead(source, 0, source.value or b"", GIVEN_UP) for source in portion]
        else:
            self._attempts.begin(portion)
            items = await asyncio.to_thread(lambda: [item for source in portion for item in decode(source)])
        self._attempts.settle(portion)
        return items

    async def _patiently(self, ask: Callable[[Sequence[Item]], Answer], items: Sequence[Item]) -> Answer:
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                return await asyncio.to_thread(ask, items)
            except ServiceUnavailable as error:
                _log.warning("waiting for the store", reason=str(error), wait_s=wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)


def build_app(settings: Settings, instance: int) -> faust.App:
    """The Faust app of the record worker, ready for `run_app`."""
    app = make_app(NAME, settings, instance)
    limits = settings.streams
    frames = max(1, limits.batch_max_bytes // FRAME_MAX_BYTES)
    _add_agent(app, settings, instance, "traffic", (topics.TRAFFIC,), frames)
    others = tuple(name for name in topics.RECORDED if name != topics.TRAFFIC)
    _add_agent(app, settings, instance, "records", others, limits.batch_max_events)
    return app


def _add_agent(
    app: faust.App, settings: Settings, instance: int, lane: str, names: Sequence[str], max_records: int
) -> None:
    store = Store(settings)
    attempts = Attempts(settings.state / "attempts" / f"{instance_of(NAME, instance)}-{lane}.json")
    recorder = Recorder(store, attempts, DeadLetters(app, f"{NAME}:{instance}"))
    limits = settings.streams

    async def revoked(_app: faust.App, revoked: Any, **_: Any) -> None:
        store.revoked()

    async def record(stream: Any) -> None:
        async for events in stream.noack_take(max_records, within=limits.batch_within_s):
            waiting = iter(events)
            for run in bounded([source_of(event.message) for event in events], limits.batch_max_bytes):
                await recorder.record(run)
                for _ in run:
                    await stream.ack(next(waiting))

    app.on_partitions_revoked.connect(revoked, weak=False)
    topic = app.topic(*names, value_type=bytes, value_serializer="raw", key_serializer="raw")
    app.agent(topic, name=f"penstock.{NAME}.{lane}", concurrency=1)(record)


def source_of(message: Any) -> Source:
    """A Faust message as a source."""
    return Source(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        tuple(message.headers or ()),
        round(message.timestamp * 1000),
    )
