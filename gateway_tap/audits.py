"""Edge: sends events for the audit topic one by one, in order, each until Kafka has acknowledged it.

With a journal they are in it before `add` returns, and those of an earlier process are sent first.
"""

import asyncio
import base64
from collections import deque
from collections.abc import Iterable
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from penstock.schemas import topics
from penstock.schemas.records import Record, read_record

from .journal import Journal
from .journal_record import AUDIT_LANE, AuditNote
from .link import Link

MAX: Final = 10_000

log = structlog.get_logger("penstock.tap.publish")


class Audits:
    """What waits for the audit topic. `before`: epoch, number and event of what an earlier process left."""

    def __init__(
        self, link: Link, epoch: int, journal: Journal | None = None, before: Iterable[tuple[int, int, Record]] = ()
    ) -> None:
        self.number = 0
        self.sent = asyncio.Event()
        self._link, self._epoch, self._journal = link, epoch, journal
        self._waiting: deque[tuple[int, int, Record]] = deque(before)
        self._wake = asyncio.Event()
        self._mark()

    def add(self, record: Record) -> bool:
        """One more; False where too many wait already."""
        if len(self._waiting) >= MAX:
            return False
        self.number += 1
        if self._journal is not None and not self._journal.audit(self.number, note_of(record)):
            log.error("audit_not_in_journal", type=record.type, id=record.id)
        self._waiting.append((self._epoch, self.number, record))
        self._mark()
        return True

    async def run(self) -> None:
        """Until cancelled: sends what waits."""
        while True:
            await self._wake.wait()
            while self._waiting:
                epoch, number, record = self._waiting[0]
                if await self._send(record):
                    self._waiting.popleft()
                    if self._journal is not None:
                        self._journal.acknowledge(AUDIT_LANE, epoch, number, number)
            self._mark()

    async def _send(self, record: Record) -> bool:
        producer = await self._link.producer()
        try:
            future = await producer.send(
                topics.AUDIT, record.value, key=record.subject.encode(), headers=record.headers()
            )
            await self._link.patiently(producer, future)
        except KafkaError as error:
            await self._link.discard(producer, error)
            return False
        return True

    def _mark(self) -> None:
        for event, wanted in ((self._wake, bool(self._waiting)), (self.sent, not self._waiting)):
            event.set() if wanted else event.clear()


def note_of(record: Record) -> AuditNote:
    """`record` as the journal holds it."""
    headers = [(name, base64.b64encode(value).decode()) for name, value in record.headers()]
    return AuditNote(key=record.subject, value=record.value.decode(), headers=headers)


def record_of(note: AuditNote) -> Record:
    """The record that the journal holds. EventError where it is none."""
    return read_record(note.value.encode(), [(name, base64.b64decode(value)) for name, value in note.headers])
