"""Edge: the folder of one tap's journal: its lock, its files, mapped memory, synchronisation with the disk.

    <state_dir>/journal/<tap id>/0001.seg …   1.spare …   lock   quarantine/

A file gets all its blocks when it is made, so that a full disk is met there and never by a write to mapped memory.
"""

import contextlib
import fcntl
import mmap
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

from penstock.schemas.errors import JournalError

from .journal_load import segments_in, unreadable
from .journal_record import HEAD_BYTES, RECORD_HEAD_BYTES, Damage, SegmentHead, write_head
from .journal_segment import Segment

SPARES: Final = 2
"""Segments that are made ahead; the last one is kept for the journal's own notes while no more can be made."""
LOCK_TRIES: Final = 5
LOCK_PAUSE_S: Final = 0.05
SEGMENT_MIN_BYTES: Final = 4 << 20
SEGMENT_MAX_BYTES: Final = 32 << 20
BOOT: Final = Path("/proc/sys/kernel/random/boot_id")

Spare = tuple[Path, int, mmap.mmap]

log = structlog.get_logger("penstock.tap.journal")


def boot_id() -> str:
    """Changes whenever the host starts; empty where the system does not say."""
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""


class JournalFolder:
    """The files of a journal. `take`, `read`, `retire` and `drop` keep the contract of `journal_segment.Supply`: the
    event loop's thread calls them; `prepare` and `sync` are called by one other thread at a time."""

    def __init__(self, path: Path, tap: str, writer: int, partitions: int, max_bytes: int) -> None:
        self.path, self.tap, self.writer, self.partitions = path, tap, writer, partitions
        self.segment_bytes = min(max(max_bytes // 32, SEGMENT_MIN_BYTES), SEGMENT_MAX_BYTES) // 4096 * 4096
        self.boot = boot_id()
        self.quarantined = 0
        self.disk_full = ""
        self.max_bytes = max_bytes
        self._max = max(max_bytes // self.segment_bytes, 3)
        self._files: dict[int, int] = {}
        self._spares: list[Spare] = []
        self._retired: list[mmap.mmap] = []
        self._unsynced: set[int] = set()
        self._gone: list[tuple[Path, int]] = []
        self._next = 1
        self._made = 0
        self._guard = threading.Lock()
        self._lock_file = -1

    @property
    def kept(self) -> int:
        """Segments with records."""
        return len(self._files)

    @property
    def pressed(self) -> bool:
        """See `Supply`: the last eighth of the room is kept for exchanges that run."""
        return self.kept > self._max - max(1, self._max // 8) or (bool(self.disk_full) and len(self._spares) < SPARES)

    @property
    def has_room(self) -> bool:
        return self.kept < self._max and (not self.disk_full or len(self._spares) >= SPARES)

    @property
    def has_work(self) -> bool:
        """`prepare` would do something."""
        return bool(self._retired or self._gone or len(self._spares) < SPARES)

    def lock(self) -> None:
        """Makes the folder this process's own. JournalError where another tap holds it, or it cannot be written."""
        try:
            for folder in (self.path.parent, self.path):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock_file = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _flock(self._lock_file)
            os.ftruncate(self._lock_file, 0)
            os.pwrite(self._lock_file, b"%d\n" % os.getpid(), 0)
        except BlockingIOError as error:
            held = os.pread(self._lock_file, 20, 0).decode(errors="replace").strip() or "unknown"
            raise JournalError(
                f"{self.path}: another tap (process {held}) has this id and its journal here: give each tap"
                " a `tap.id` of its own, or stop the other one"
            ) from error
        except OSError as error:
            raise JournalError(
                f"{self.path}: cannot write the journal here ({error.strerror}): let the tap write its state folder,"
                " or set `tap.audit: besteffort` to do without a journal"
            ) from error

    def load(self) -> Iterator[tuple[Segment, bytes, bool]]:
        """The segments that an earlier process left, in order: segment, content, and whether it is the last that its
        process wrote. JournalError names a file that cannot be read."""
        heads = segments_in(self.path, self.tap)
        last = {head.writer: head.number for head, _ in heads}
        self._next = max([head.number for head, _ in heads], default=0) + 1
        for head, path in heads:
            try:
                file = self._files[head.number] = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                content = os.pread(file, head.size, 0)
            except OSError as error:
                raise unreadable(path, error) from error
            yield Segment(head, None, head.size), content, last[head.writer] == head.number

    def quarantine(self, head: SegmentHead, damage: Damage, content: bytes) -> Path:
        """Keeps what could not be read, under a name that is the same whenever it is found again."""
        folder = self.path / "quarantine"
        path = folder / f"{head.epoch}-{head.number:04d}-{damage.at}.bin"
        self.quarantined += 1
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            path.write_bytes(content[damage.at : damage.end])
        log.error("journal_damaged", segment=head.number, at=damage.at, bytes=damage.end - damage.at, kept=path.name)
        return path

    # ── what the journal asks for ──

    def take(self, epoch: int, size: int, *, control: bool) -> Segment | None:
        """See `Supply`. What is not ready is made here: slower, but never refused while there is room."""
        if HEAD_BYTES + RECORD_HEAD_BYTES + size > self.segment_bytes:
            return None
        if not control and self.kept >= self._max:
            return None
        with self._guard:
            spare = self._spares.pop(0) if len(self._spares) > (not control) else None
        if spare is None:
            try:
                spare = self._make()
            except OSError as error:
                self._say_full(error)
                with self._guard:
                    spare = self._spares.pop(0) if control and self._spares else None
        if spare is None:
            return None
        return self._begin(epoch, *spare)

    def _begin(self, epoch: int, path: Path, file: int, buffer: mmap.mmap) -> Segment | None:
        """Gives a spare segment its head and then its name; None where the file system refuses the name."""
        number = self._next
        head = SegmentHead(
            tap=self.tap,
            epoch=epoch,
            writer=self.writer,
            number=number,
            size=self.segment_bytes,
            partitions=self.partitions,
            boot=self.boot,
            mark=int.from_bytes(os.urandom(4), "little"),
            start=int.from_bytes(os.urandom(4), "little"),
        )
        buffer[:HEAD_BYTES] = write_head(head)
        try:
            path.rename(self._path(number))
        except OSError as error:
            self._say_full(error)
            self._retired.append(buffer)
            self._gone.append((path, file))
            return None
        self._next += 1
        with self._guard:
            self._files[number] = file
            self._unsynced.add(number)
        return Segment(head, buffer)

    def read(self, segment: Segment, start: int, end: int) -> bytes:
        return os.pread(self._files[segment.head.number], min(end, segment.head.size) - start, start)

    def retire(self, segment: Segment) -> None:
        buffer, segment.buffer = segment.buffer, None
        if buffer is not None:
            with self._guard:
                self._retired.append(buffer)

    def drop(self, segment: Segment) -> None:
        number = segment.head.number
        with self._guard:
            self._gone.append((self._path(number), self._files.pop(number)))
            self._unsynced.discard(number)

    # ── what another thread does ──

    def prepare(self) -> None:
        """Makes spare segments, and removes what is not needed any more."""
        self._remove([])
        try:
            while len(self._spares) < SPARES:
                made = self._make()
                with self._guard:
                    self._spares.append(made)
            self.disk_full = ""
        except OSError as error:
            self._say_full(error)

    def sync(self) -> None:
        """Returns once everything written before the call is on the disk."""
        with self._guard:
            files = [(number, os.dup(self._files[number])) for number in sorted(self._unsynced)]
        newest = files[-1][0] if files else -1
        try:
            for number, file in files:
                os.fdatasync(file)
                if number != newest:
                    with self._guard:
                        self._unsynced.discard(number)
        finally:
            for _, file in files:
                os.close(file)
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Gives everything back; spare segments are removed."""
        with self._guard:
            spares, self._spares = self._spares, []
        self._remove(spares)
        for number in list(self._files):
            os.close(self._files.pop(number))
        if self._lock_file >= 0:
            os.close(self._lock_file)
            self._lock_file = -1

    def _remove(self, spares: list[Spare]) -> None:
        with self._guard:
            retired, self._retired = self._retired, []
            gone, self._gone = self._gone, []
        for buffer in [*retired, *(buffer for _, _, buffer in spares)]:
            buffer.close()
        for path, file in [*gone, *((path, file) for path, file, _ in spares)]:
            os.close(file)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                log.error("journal_not_removed", file=path.name, reason=error.strerror)

    def _path(self, number: int) -> Path:
        return self.path / f"{number:04d}.seg"

    def _make(self) -> Spare:
        with self._guard:
            self._made += 1
            path = self.path / f"{self._made}.spare"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, self.segment_bytes)
            return path, file, mmap.mmap(file, self.segment_bytes)
        except (OSError, ValueError):
            os.close(file)
            path.unlink(missing_ok=True)
            raise

    def _say_full(self, error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        if self.disk_full != reason:
            log.error("journal_cannot_grow", reason=reason, segments=self.kept)
        self.disk_full = reason


def _flock(file: int) -> None:
    """Another tap that only looks whether the folder is in use holds it for a moment."""
    for _ in range(LOCK_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(LOCK_PAUSE_S)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
