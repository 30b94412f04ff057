"""Edge: the budget agent. Usage records come in; kills, blocks and violations go out at once, snapshots every moment.

A usage record is acknowledged once a snapshot that contains it is acknowledged by Kafka. A restart begins with the
snapshots and reads the rest again: each budget passes over what it contains already.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError

from penstock.schemas.errors import ContractError
from penstock.schemas.records import read_value
from penstock.schemas.topics import BUDGETS
from penstock.schemas.usage import TYPE_BUDGET, BudgetSnapshot, UsageTotal

from .clock import now_us
from .decisions import Rules
from .emission import Emission, of_snapshot
from .ledger import Ledger
from .outlet import Outlet
from .rewind import Rewinder
from .snapshot import read_state, snapshot_key

RETRY_S: Final = 0.5

_log = structlog.get_logger("penstock.streams.keeper")


class Keeper:
    """Keeps the budgets of the usage partitions that this instance holds. Not to be fed from two coroutines at once."""

    def __init__(self, rules: Rules, outlet: Outlet, rewinder: Rewinder, instance: str) -> None:
        self._rules = rules
        self._outlet = outlet
        self._rewinder = rewinder
        self._instance = instance
        self._ledgers: dict[int, Ledger] = {}
        self._held: dict[int, deque[Any]] = {}
        self._keys: dict[tuple[str, str, str], set[str]] = {}
        self._assignment = 0
        self._whole = asyncio.Lock()

    async def prepare(self, partitions: Iterable[int]) -> None:
        """Restores the budgets of `partitions` before their first usage record comes."""
        async with self._whole:
            await asyncio.gather(*(self._ledger(partition, 0) for partition in partitions))

    async def take(self, message: Any) -> None:
        """Takes in a usage record (Faust's message), in order; what it leads to is sent before this returns."""
        async with self._whole:
            ledger = await self._ledger(message.partition, message.offset)
            if ledger.next_offset is None or message.offset >= ledger.next_offset:
                await self._apply(ledger, message)
            message.value = None
            self._held.setdefault(message.partition, deque()).append(message)

    async def settle(self) -> list[Any]:
        """Publishes snapshots of what has changed; the messages that may now be acknowledged, in order.

        KafkaError where anything said could not be delivered: then nothing may be acknowledged.
        """
        async with self._whole:
            reached = {number: ledger.next_offset or 0 for number, ledger in self._ledgers.items()}
            changed = [snapshot for ledger in self._ledgers.values() for snapshot in ledger.changed()]
        await self._outlet.delivered()
        for snapshot in changed:
            key = snapshot_key(snapshot, self._instance)
            self._keys.setdefault((snapshot.limit_id, snapshot.scope, snapshot.window), set()).add(key)
            await self._outlet.send(of_snapshot(snapshot, key, now_us()))
        await self._outlet.delivered()
        released = []
        for partition, next_offset in reached.items():
            held = self._held.get(partition, deque())
            while held and held[0].offset < next_offset:
                released.append(held.popleft())
        return released

    async def retire(self) -> None:
        """Removes the snapshots of windows that ended so long ago that nothing can count towards them."""
        async with self._whole:
            for partition, ledger in self._ledgers.items():
                for window in ledger.retire(now_us()):
                    for key in sorted(self._keys.pop(window, ())):
                        await self._outlet.send(Emission(BUDGETS, key, None, partition=partition))

    def forget(self) -> None:
        """Partitions may move: what is held here is read again by whoever gets them."""
        self._assignment += 1
        self._ledgers.clear()
        self._held.clear()
        self._keys.clear()

    async def _apply(self, ledger: Ledger, message: Any) -> None:
        try:
            total = read_value(UsageTotal, message.value)
        except ContractError as error:
            _log.error("usage record not counted", offset=message.offset, error=str(error))
            ledger.next_offset = message.offset + 1
            return
        for emission in ledger.apply(total, message.offset, round(message.timestamp * 1000) * 1000, now_us()):
            await self._outlet.send(emission)

    async def _ledger(self, partition: int, offset: int) -> Ledger:
        """The budgets as of `offset`, or beyond it. Records that came to another instance meanwhile are no part of what
        is held here: its snapshots are."""
        while True:
            ledger = self._ledgers.get(partition)
            if ledger is not None and (ledger.next_offset is None or ledger.next_offset >= offset):
                return ledger
            assignment = self._assignment
            try:
                restored, said = await self._restore(partition)
            except (KafkaError, OSError) as error:
                _log.warning("budgets not restored yet", partition=partition, error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
            else:
                if assignment == self._assignment:
                    self._ledgers[partition] = restored
                    for emission in said:
                        await self._outlet.send(emission)

    async def _restore(self, partition: int) -> tuple[Ledger, list[Emission]]:
        found: dict[bytes, BudgetSnapshot] = {}
        async for record in self._rewinder.whole(BUDGETS, partition):
            if record.value is None:
                found.pop(record.key, None)
            elif snapshot := read_state(record.value, record.headers, TYPE_BUDGET, BudgetSnapshot):
                found[record.key] = snapshot
        for key, snapshot in found.items():
            self._keys.setdefault((snapshot.limit_id, snapshot.scope, snapshot.window), set()).add(key.decode())
        ledger = Ledger(partition, self._rules)
        said = ledger.restore(found.values(), now_us())
        _log.info("budgets restored", partition=partition, budgets=len(found))
        return ledger, said
