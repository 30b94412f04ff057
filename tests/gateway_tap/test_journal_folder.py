"""The journal's files: one owner, room made ahead, a full disk met while files are made, foreign files refused."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.gateway_tap.journal import CARRIED_AT_ONCE, NOWHERE, Journal
from penstock.gateway_tap.journal_folder import JournalFolder, boot_id
from penstock.gateway_tap.journal_load import left_behind
from penstock.gateway_tap.journal_record import HEAD_BYTES, VERSION, Damage, read_head, scan
from penstock.gateway_tap.journal_recovery import Recovery
from penstock.gateway_tap.journal_segment import Segment
from penstock.schemas.errors import JournalError

from .journalling import event

MAX_BYTES = 16 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[JournalFolder]:
    made = JournalFolder(tmp_path / "journal" / "t", "t", 5, 4, MAX_BYTES)
    made.lock()
    yield made
    made.close()


def recovered(path: Path, tap: str = "t") -> tuple[Recovery, Journal, JournalFolder]:
    folder = JournalFolder(path, tap, 6, 4, MAX_BYTES)
    folder.lock()
    recovery, journal = Recovery(), Journal(folder)
    for segment, content, last in folder.load():
        journal.adopt(segment)
        for record in scan(memoryview(content), segment.head, last=last):
            recovery.feed(segment, record)
    return recovery, journal, folder


def test_what_was_appended_is_read_back_by_the_next_process(folder: JournalFolder) -> None:
    journal = Journal(folder)
    journal.begin(5)
    written = [event("e", seq, body=b"x" * 100_000) for seq in range(100)]
    folder.prepare()
    for seq, one in enumerate(written):
        assert journal.append(1, seq, seq, "e", [one]) != NOWHERE
        assert journal.read([journal.position - (len(one) + 32 + 7) // 8 * 8]) == [one]
    assert len(journal.segments) > 2
    folder.sync()
    folder.close()
    recovery, later, files = recovered(folder.path)
    found = [later.read(frame.positions) for _, frame in recovery.unacknowledged(1)]
    assert found == [[one] for one in written]
    files.close()


def test_acknowledged_segments_are_removed(folder: JournalFolder) -> None:
    journal = Journal(folder)
    journal.begin(5)
    for seq in range(100):
        journal.append(1, seq, seq, f"e{seq}", [event(f"e{seq}", 0, "completion", b"x" * 100_000)])
    many = len(list(folder.path.glob("*.seg")))
    journal.acknowledge(1, 5, 99, 100)
    folder.prepare()
    assert many > 2
    assert len(list(folder.path.glob("*.seg"))) == len(journal.segments) == 1
    assert recovery_of(folder).unacknowledged(1) == []


def test_a_running_exchange_is_carried_forward_with_what_its_client_has(folder: JournalFolder) -> None:
    journal = Journal(folder)
    journal.begin(5)
    journal.append(1, 0, 0, "idle", [event("idle", 0, "prompt"), event("idle", 1)])
    journal.partial("idle", b"data: half", 2)
    journal.append(1, 0, 2, "idle", [event("idle", 2, "prompt")])  # more of a request that is still coming
    for seq in range(100):
        journal.append(1, seq + 1, seq + 3, f"e{seq}", [event(f"e{seq}", 0, "completion", b"x" * 100_000)])
    journal.acknowledge(1, 5, 100, 103)
    folder.prepare()
    assert len(list(folder.path.glob("*.seg"))) == 1
    (idle,) = recovery_of(folder).left_open(boot_id(), {5: boot_id()})
    assert (idle.known.exchange, idle.known.seq, b"".join(idle.partial), idle.hidden) == ("idle", 3, b"data: half", 2)
    assert recovery_of(folder).lanes[5, 1].following == 101


def test_a_running_exchange_that_cannot_be_read_back_is_let_go(folder: JournalFolder) -> None:
    journal = Journal(folder)
    journal.begin(5)
    journal.append(1, 0, 0, "idle", [event("idle", 0, "prompt")])
    (path,) = folder.path.glob("*.seg")
    with path.open("r+b") as file:
        file.seek(HEAD_BYTES + 100)
        file.write(b"?")
    for seq in range(100):
        journal.append(1, seq + 1, seq + 1, f"e{seq}", [event(f"e{seq}", 0, "completion", b"x" * 100_000)])
    journal.acknowledge(1, 5, 100, 101)
    assert (len(journal.segments), journal.running, journal.forgotten) == (1, {}, 1)


def test_more_idle_exchanges_than_are_carried_at_once_keep_their_segment(folder: JournalFolder) -> None:
    journal = Journal(folder)
    journal.begin(5)
    many = CARRIED_AT_ONCE + 10
    for number in range(many):
        journal.append(1, 0, number, f"idle{number}", [event(f"idle{number}", 0, "prompt")])
    for seq in range(100):
        journal.append(1, seq + 1, many + seq, f"e{seq}", [event(f"e{seq}", 0, "completion", b"x" * 100_000)])
    journal.acknowledge(1, 5, 100, many + 100)
    assert len(journal.segments) > 1
    journal.free()
    assert len(journal.segments) == 1
    assert len(recovery_of(folder).left_open(boot_id(), {5: boot_id()})) == many


def recovery_of(folder: JournalFolder) -> Recovery:
    folder.sync()
    recovery = Recovery()
    for path in sorted(folder.path.glob("*.seg")):
        content = path.read_bytes()
        head = read_head(content)
        assert head is not None
        for record in scan(memoryview(content), head, last=True):
            recovery.feed(Segment(head), record)
    return recovery


def test_it_is_bounded_and_keeps_room_for_its_own_notes(folder: JournalFolder) -> None:
    journal = Journal(folder)
    journal.begin(5)
    folder.prepare()
    taken = 0
    while journal.append(0, taken, taken, "e", [event("e", taken, body=b"x" * 500_000)]) != NOWHERE:
        taken += 1
    assert journal.full
    assert MAX_BYTES * 3 // 4 < journal.kept_bytes <= MAX_BYTES
    for frame in range(3):
        journal.acknowledge(0, 5, frame, frame + 1)
    assert recovery_of(folder).acked[0] == (5, 2, 3)
    journal.acknowledge(0, 5, taken - 1, taken)
    assert not journal.full
    assert journal.append(0, taken, taken, "e", [event("e", taken, body=b"x" * 500_000)]) != NOWHERE


def test_a_full_disk_is_met_while_a_file_is_made(folder: JournalFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(folder)
    journal.begin(5)
    folder.prepare()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    taken = 0
    while journal.append(0, taken, taken, "e", [event("e", taken, body=b"x" * 500_000)]) != NOWHERE:
        taken += 1
    assert taken >= 7  # the segment that was ready
    assert folder.disk_full == "No space left on device"
    assert not list(folder.path.glob("[3-9].spare"))
    journal.acknowledge(0, 5, 0, 1)  # its own notes use the spare that is kept back
    assert recovery_of(folder).acked[0] == (5, 0, 1)
    monkeypatch.undo()
    folder.prepare()
    assert folder.disk_full == ""
    assert journal.append(0, taken, taken, "e", [event("e", taken)]) != NOWHERE


def test_a_file_system_that_refuses_names_is_as_full(folder: JournalFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(folder)
    journal.begin(5)
    folder.prepare()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    assert journal.append(0, 0, 0, "e", [event("e", 0)]) == NOWHERE
    assert (journal.full, folder.disk_full) == (True, "Read-only file system")
    folder.prepare()
    monkeypatch.undo()
    folder.prepare()
    assert journal.append(0, 0, 0, "e", [event("e", 0)]) != NOWHERE


def test_a_second_tap_is_refused(folder: JournalFolder) -> None:
    code = (
        "import sys; from pathlib import Path; from penstock.gateway_tap.journal_folder import JournalFolder;"
        f" JournalFolder(Path({str(folder.path)!r}), 't', 6, 4, {MAX_BYTES}).lock()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert (
        f"another tap (process {os.getpid()}) has this id and its journal here: give each tap a `tap.id` of its own"
        in ended.stderr
    )


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file stands here")
    with pytest.raises(JournalError, match=r"cannot write the journal here .* `tap.audit: besteffort`"):
        JournalFolder(tmp_path / "journal" / "t", "t", 5, 4, MAX_BYTES).lock()


@pytest.mark.parametrize(
    ("place", "content", "said"),
    [
        (0, b"?", "does not begin as a segment"),
        (8, bytes([VERSION + 1]), f"is of version {VERSION + 1}, and this one reads version {VERSION}"),
        (40, b"?", "its head is damaged"),
    ],
)
def test_a_foreign_journal_is_refused_and_left_as_it_is(
    folder: JournalFolder, place: int, content: bytes, said: str
) -> None:
    journal = Journal(folder)
    journal.begin(5)
    journal.append(0, 0, 0, "e", [event("e", 0)])
    folder.close()
    (path,) = folder.path.glob("*.seg")
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)
    with pytest.raises(JournalError, match=said):
        recovered(folder.path)
    assert path.exists()


def test_the_journal_of_another_tap_is_refused(folder: JournalFolder) -> None:
    Journal(folder).begin(5)
    assert folder.take(5, 0, control=False)
    folder.close()
    with pytest.raises(JournalError, match="it is the journal of tap t, and this one is other"):
        recovered(folder.path, "other")


def test_a_segment_that_was_never_written_is_removed(folder: JournalFolder) -> None:
    (folder.path / "0009.seg").write_bytes(bytes(HEAD_BYTES * 2))
    (folder.path / "4.spare").write_bytes(b"")
    assert list(folder.load()) == []
    assert not list(folder.path.glob("*.seg")) + list(folder.path.glob("*.spare"))


def test_what_is_damaged_is_kept_beside_it(folder: JournalFolder) -> None:
    head = folder.take(5, 0, control=False)
    assert head is not None
    path = folder.quarantine(head.head, Damage(10, 14), b"0123456789abcdef")
    assert folder.quarantine(head.head, Damage(10, 14), b"0123456789abcdef") == path
    assert path.read_bytes() == b"abcd"
    assert path.parent == folder.path / "quarantine"


def test_a_journal_that_no_tap_holds_is_found(folder: JournalFolder) -> None:
    other = JournalFolder(folder.path.parent / "t-2", "t-2", 5, 4, MAX_BYTES)
    other.lock()
    assert left_behind(folder.path) == []
    journal = Journal(other)
    journal.begin(5)
    journal.append(0, 0, 0, "e", [event("e", 0)])
    assert left_behind(folder.path) == []
    other.close()
    assert left_behind(folder.path) == [other.path]
    (folder.path.parent / "empty").mkdir()
    assert left_behind(folder.path) == [other.path]
