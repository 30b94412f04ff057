"""Edge: the counting agent. Frames of traffic come in; usage, kills of single exchanges and attributions go out.

A frame is acknowledged once everything said of it, and the position behind it, is acknowledged by Kafka. A restart
goes on at the last position, with the state that running exchanges had there.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable
from typing import Any, Final

import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from penstock.schemas.topics import BUDGETS, TRAFFIC
from penstock.schemas.usage import TYPE_POSITION, TYPE_RESPONSE, MeterPosition, ResponseCharge

from .clock import now_us
from .decisions import Rules
from .emission import of_position
from .intake import TrafficFrame, read_traffic
from .outlet import Outlet
from .rewind import Rewinder
from .snapshot import furthest, position_key, read_state
from .tally import Tally

RETRY_S: Final = 0.5
FEW: Final = 16
"""So many ids are looked for in a frame's bytes before it is read."""

_log = structlog.get_logger("penstock.streams.counter")


class Counter:
    """Counts the traffic partitions that this instance holds. Not to be fed from two coroutines at once."""

    def __init__(self, rules: Rules, outlet: Outlet, rewinder: Rewinder, instance: str) -> None:
        self._rules = rules
        self._outlet = outlet
        self._rewinder = rewinder
        self._instance = instance
        self._tallies: dict[int, Tally] = {}
        self._held: dict[int, deque[Any]] = {}
        self._settled: dict[int, int] = {}
        self._assignment = 0
        self._whole = asyncio.Lock()

    async def prepare(self, partitions: Iterable[int]) -> None:
        """Restores the state of `partitions` before their first frame comes."""
        async with self._whole:
            await asyncio.gather(*(self._tally(partition, 0) for partition in partitions))

    async def take(self, message: Any) -> None:
        """Takes in a frame (Faust's message), in order; holds it until it may be acknowledged. Kafka being away is
        waited for."""
        async with self._whole:
            tally = await self._tally(message.partition, message.offset)
            if tally.next_offset is None or message.offset >= tally.next_offset:
                frame = read_traffic(
                    message.partition,
                    message.offset,
                    round(message.timestamp * 1000),
                    message.headers or (),
                    message.value,
                )
                await self._look_up(tally, frame)
                for emission in tally.apply(frame, now_us()):
                    await self._outlet.send(emission)
            message.value = None
            self._held.setdefault(message.partition, deque()).append(message)

    async def settle(self) -> list[Any]:
        """Publishes how far each partition is counted; the messages that may now be acknowledged, in order.

        KafkaError where something said could not be delivered: then nothing was settled.
        """
        async with self._whole:
            moved = [
                (tally, tally.position())
                for partition, tally in self._tallies.items()
                if tally.next_offset is not None and tally.next_offset != self._settled.get(partition)
            ]
        await self._outlet.delivered()
        for _, position in moved:
            await self._outlet.send(of_position(position, position_key(position.partition, self._instance), now_us()))
        await self._outlet.delivered()
        released = []
        for tally, position in moved:
            if self._tallies.get(position.partition) is not tally:
                continue
            self._settled[position.partition] = position.next_offset
            held = self._held.get(position.partition, deque())
            while held and held[0].offset < position.next_offset:
                released.append(held.popleft())
        return released

    def forget(self) -> None:
        """Partitions may move: what is held here is read again by whoever gets them."""
        self._assignment += 1
        self._tallies.clear()
        self._held.clear()
        self._settled.clear()

    async def _tally(self, partition: int, offset: int) -> Tally:
        """The state right before `offset`, or beyond it. Frames that came to another instance meanwhile are no part of
        a state held here: it is restored."""
        while True:
            tally = self._tallies.get(partition)
            if tally is not None and (tally.next_offset is None or tally.next_offset >= offset):
                return tally
            assignment = self._assignment
            try:
                restored = await self._restore(partition, offset)
            except (KafkaError, OSError) as error:
                _log.warning("state not restored yet", partition=partition, error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
            else:
                if assignment == self._assignment:
                    self._tallies[partition] = restored

    async def _restore(self, partition: int, offset: int) -> Tally:
        tally = Tally(partition, self._rules)
        positions: list[MeterPosition] = []
        async for record in self._rewinder.whole(BUDGETS, partition):
            if record.value is None:
                continue
            if position := read_state(record.value, record.headers, TYPE_POSITION, MeterPosition):
                positions.append(position)
            elif charge := read_state(record.value, record.headers, TYPE_RESPONSE, ResponseCharge):
                tally.responses.adopt(charge)
        position = furthest(positions)
        if position is None:
            return tally
        tally.adopt(position)
        if position.open:
            first = min(position.open.values())
            await self._rebuild(tally, first, position.next_offset, position.open)
        async for record in self._rewinder.part(TRAFFIC, partition, position.next_offset, offset):
            for emission in tally.apply(_frame(record), now_us()):
                await self._outlet.send(emission)
        tally.next_offset = max(position.next_offset, offset)
        _log.info("state restored", partition=partition, next_offset=position.next_offset, open=len(tally.open))
        return tally

    async def _look_up(self, tally: Tally, frame: TrafficFrame) -> None:
        strangers = tally.strangers(frame)
        while strangers:
            try:
                first = await self._rewinder.first_offset(TRAFFIC, frame.partition, strangers.items(), frame.offset)
                await self._rebuild(tally, first, frame.offset, strangers)
            except (KafkaError, OSError) as error:
                _log.warning("rewind failed", partition=frame.partition, error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
            else:
                _log.info("rewound", partition=frame.partition, first=first, exchanges=len(strangers))
                return

    async def _rebuild(self, tally: Tally, first: int, end: int, wanted: Collection[str]) -> None:
        """Reads `first`…`end` again for the exchanges `wanted`; of more than `rewind_max_bytes` only the beginning."""
        names = [name.encode() for name in wanted] if len(wanted) <= FEW else []
        left_bytes = self._rules.rewind_max_bytes
        async for record in self._rewinder.part(TRAFFIC, tally.partition, first, end):
            left_bytes -= len(record.value or b"")
            if left_bytes < 0:
                return
            if not names or any(name in (record.value or b"") for name in names):
                tally.rebuild(_frame(record), wanted)


def _frame(record: ConsumerRecord) -> TrafficFrame:
    return read_traffic(record.partition, record.offset, record.timestamp, record.headers, record.value)
