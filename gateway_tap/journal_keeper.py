"""Edge: the journal of a running tap: opens it, recovers what is in it, and does beside the event loop what may block.

lock ─▶ load ─▶ recovery ─▶ ends of what was left open ─▶ new epoch ─▶ segments ahead, synchronisation, removal
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from penstock.schemas.errors import EventError
from penstock.schemas.records import Record
from penstock.schemas.settings import Settings
from penstock.schemas.tap_settings import JournalSettings

from .audits import record_of
from .clock import Clock
from .journal import Journal
from .journal_folder import JournalFolder
from .journal_load import left_behind
from .journal_record import AUDIT_LANE, Damage, scan
from .journal_recovery import Recovery
from .journal_replay import Left, old_frames, old_gaps

TICK_S: Final = 0.05
RENEW_S: Final = 30.0
"""How long at most what Kafka has stays in the journal of a tap with little traffic."""

log = structlog.get_logger("penstock.tap.journal")


def opened(settings: Settings, epoch: int, clock: Clock) -> "JournalKeeper | None":
    """The journal that the settings ask for, open; None where they ask for none: then it
    only takes the id, so that no second tap of this state folder has it. JournalError as `open`."""
    tap = settings.tap
    path = settings.state / "journal" / tap.id
    if tap.audit != "journal":
        JournalFolder(path, tap.id, epoch, settings.kafka.partitions, tap.journal.max_bytes).lock()
        return None
    keeper = JournalKeeper(path, tap.id, epoch, settings.kafka.partitions, tap.journal, clock)
    keeper.open()
    for folder in left_behind(path):
        log.warning("journal_left_behind", folder=str(folder), remedy="start a tap of this id once, so that it is sent")
    return keeper


class JournalKeeper:
    """One tap's journal. `open` once, then `run` beside the publisher, `close` last. `replayed`: how many events an
    earlier process had left in it."""

    def __init__(
        self, path: Path, tap: str, epoch: int, partitions: int, settings: JournalSettings, clock: Clock
    ) -> None:
        self.folder = JournalFolder(path, tap, epoch, partitions, settings.max_bytes)
        self.journal = Journal(self.folder)
        self.synced = self.replayed = 0
        self._left: Left | None = None
        self._tap, self._epoch, self._partitions = tap, epoch, partitions
        self._settings = settings
        self._clock = clock
        self._synced_s = 0.0
        self._renewed_s = clock.monotonic_s()

    def open(self) -> None:
        """Takes the folder, recovers what an earlier process left, and begins this epoch. Blocks while it reads.
        JournalError where the folder cannot be used, or what is left in it cannot be published as it is."""
        self.folder.lock()
        try:
            self._left = self._recover()
        except BaseException:
            self.folder.close()
            raise
        self.journal.urgent = False
        self.journal.begin(self._epoch)
        self.journal.free()
        self.folder.prepare()

    def take_left(self) -> Left:
        """What an earlier process left, once."""
        left, self._left = self._left, None
        return left or Left([[] for _ in range(self._partitions)])

    def _recover(self) -> Left:
        recovery, boots = Recovery(), dict[int, str]()
        for segment, content, last in self.folder.load():
            boots[segment.head.epoch] = segment.head.boot
            self.journal.adopt(segment)
            for found in scan(memoryview(content), segment.head, last=last):
                recovery.feed(segment, found)
                if isinstance(found, Damage):
                    self.folder.quarantine(segment.head, found, content)
        self.journal.acked.update(recovery.acked)
        self.journal.urgent = True
        left_open = recovery.left_open(self.folder.boot, boots)
        frames = old_frames(recovery, self._partitions, self.journal, left_open)
        audits, said = _audits(recovery)
        acts = old_gaps(self._tap, recovery, said, self._clock.now_us())
        self.replayed = sum(frame.events for lane in frames for frame in lane)
        if recovery.lanes:
            log.info(
                "journal_recovered",
                events=self.replayed,
                ended=len(left_open),
                left_open=len(recovery.running) - len(left_open),
                gaps=len(acts),
                quarantined=self.folder.quarantined,
            )
        return Left(frames, audits, acts)

    @property
    def unsynced(self) -> int:
        """Bytes that were not on the disk when it was last asked for; while Kafka answers, it is not asked."""
        return self.journal.bytes_since(self.synced)

    async def run(self, waiting_s: Callable[[], float], look_for_room: Callable[[], None]) -> None:
        """Until cancelled: makes segments ahead, removes old ones, and while Kafka is silent (`waiting_s`) writes to
        the disk in groups. `look_for_room` is called when it may have found some."""
        while True:
            await asyncio.sleep(TICK_S)
            self.journal.free()
            if self._clock.monotonic_s() - self._renewed_s >= RENEW_S and self.journal.renew():
                self._renewed_s = self._clock.monotonic_s()
            look_for_room()
            if self.folder.has_work:
                await asyncio.to_thread(self.folder.prepare)
            settings, now_s = self._settings, self._clock.monotonic_s()
            if (
                waiting_s() * 1000 >= settings.sync_after_ms
                and (now_s - self._synced_s) * 1000 >= settings.sync_every_ms
                and self.journal.position != self.synced
            ):
                self._synced_s = now_s
                await self.sync()

    async def sync(self) -> None:
        """Returns once everything that was appended before the call is on the disk, or says that it is not."""
        position = self.journal.position
        try:
            await asyncio.to_thread(self.folder.sync)
        except OSError as error:
            log.error("journal_not_synchronised", reason=error.strerror)
        else:
            self.synced = position

    async def close(self) -> None:
        """What Kafka has is removed, the rest is on the disk; the folder is given back."""
        self.journal.close()
        await self.sync()
        await asyncio.to_thread(self.folder.close)


def _audits(recovery: Recovery) -> tuple[list[tuple[int, int, Record]], set[str]]:
    """What waits for the audit topic, and the ids of all that is in the journal."""
    waiting: list[tuple[int, int, Record]] = []
    ids: set[str] = set()
    unsent = {(epoch, number) for epoch, number, _ in recovery.unsent_audits()}
    for key, note in sorted(recovery.audits.items()):
        try:
            record = record_of(note)
        except EventError as error:
            log.error("audit_unreadable", reason=str(error), lane=AUDIT_LANE)
            continue
        ids.add(record.id)
        if key in unsent:
            waiting.append((*key, record))
    return waiting, ids
