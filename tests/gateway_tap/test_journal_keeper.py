"""A journal across lives of a tap: what is sent again, what is ended, and what is refused at start."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.gateway_tap.audits import note_of
from penstock.gateway_tap.clock import Clock
from penstock.gateway_tap.journal_keeper import JournalKeeper, opened
from penstock.gateway_tap.journal_replay import Left
from penstock.gateway_tap.lane import Lane, Memory
from penstock.local.secrets import make_secrets
from penstock.schemas import audit as audits
from penstock.schemas.audit import AuditEvent, Gap
from penstock.schemas.errors import JournalError
from penstock.schemas.events import Completion
from penstock.schemas.frames import Event, read_event, split_frame
from penstock.schemas.records import write_record
from penstock.schemas.settings import Settings, load_settings
from penstock.schemas.tap_settings import JournalSettings

from .journalling import event

SETTINGS = JournalSettings(max_bytes=16 << 20)


class Lives:
    """One folder, opened by one process after another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.epoch = 0

    def next(self, partitions: int = 4) -> tuple[JournalKeeper, Left]:
        self.epoch += 1
        keeper = JournalKeeper(self.path, "t", self.epoch, partitions, SETTINGS, Clock())
        keeper.open()
        return keeper, keeper.take_left()

    def die(self, keeper: JournalKeeper) -> None:
        """As kill -9 leaves it: nothing is written any more, and the lock is gone."""
        for number in list(keeper.folder._files):
            os.close(keeper.folder._files.pop(number))
        os.close(keeper.folder._lock_file)


@pytest.fixture
def lives(tmp_path: Path) -> Lives:
    return Lives(tmp_path / "journal")


def lane_of(keeper: JournalKeeper, partition: int = 0) -> Lane:
    return Lane(partition, epoch=keeper._epoch, journal=keeper.journal, memory=Memory(0))


def events_of(keeper: JournalKeeper, left: Left, partition: int = 0) -> list[tuple[int, int, list[Event]]]:
    """Epoch, number and events of each frame that is left."""
    found = []
    for frame in left.frames[partition]:
        assert frame.positions is not None
        joined = b"[" + b",".join(keeper.journal.read(frame.positions)) + b"]"
        found.append((frame.epoch, frame.number, [read_event(raw) for raw in split_frame(joined)]))
    return found


def test_what_was_framed_is_left_in_the_same_frames(lives: Lives) -> None:
    keeper, left = lives.next()
    assert left.frames == [[], [], [], []]
    lane = lane_of(keeper)
    lane.add("a", [event("a", 0, "prompt"), event("a", 1)])
    lane.add("b", [event("b", 0, "prompt")])
    lane.close_frame()
    lane.add("a", [event("a", 2, "completion")])
    lane.add("b", [event("b", 1, "completion")])
    lives.die(keeper)
    keeper, left = lives.next()
    assert keeper.replayed == 5
    assert all(frame.tried for frame in left.frames[0])
    assert [(epoch, number, [one.id for one in events]) for epoch, number, events in events_of(keeper, left)] == [
        (1, 0, ["a/0", "a/1", "b/0"]),
        (1, 1, ["a/2", "b/1"]),
    ]


def test_an_exchange_that_was_open_gets_what_its_client_had_and_one_end(lives: Lives) -> None:
    keeper, _ = lives.next()
    lane = lane_of(keeper, 2)
    lane.add("open", [event("open", 0, "prompt"), event("open", 1, body=b"data: 1\n\n")])
    keeper.journal.partial("open", b"data: ha", 0)
    keeper.journal.partial("open", b"lf", 3)
    lives.die(keeper)
    seen = []
    for _ in range(3):  # whoever is next says the same, however often it dies before it is sent
        keeper, left = lives.next()
        seen.append(events_of(keeper, left, 2))
        lives.die(keeper)
    (first, *others) = seen
    assert others == [first, first]
    assert [(epoch, number) for epoch, number, _ in first] == [(1, 0), (1, 1)]
    chunk, end = first[1][2]
    assert (chunk.id, chunk.kind, chunk.origin, chunk.body, chunk.redacted) == (
        "open/2",
        "chunk",
        "upstream",
        b"data: half***",
        "10-13",
    )
    completion = Completion.model_validate_json(end.body)
    assert (end.id, end.origin) == ("open/3", "tap")
    assert (completion.outcome, completion.recovered, completion.status) == ("tap_error", True, 0)
    assert completion.reason == "the tap ended before the exchange did"


def test_nothing_is_left_of_what_was_acknowledged(lives: Lives) -> None:
    keeper, _ = lives.next()
    lane = lane_of(keeper)
    lane.add("a", [event("a", 0, "prompt"), event("a", 1, "completion")])
    lane.close_frame()
    keeper.journal.acknowledge(0, 1, 0, 2)
    lives.die(keeper)
    keeper, left = lives.next()
    assert (left.frames, left.acts, keeper.replayed) == ([[], [], [], []], [], 0)


def test_after_a_failure_of_the_host_no_end_is_made(lives: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper, _ = lives.next()
    lane_of(keeper).add("open", [event("open", 0, "prompt")])
    lives.die(keeper)
    monkeypatch.setattr("penstock.gateway_tap.journal_folder.boot_id", lambda: "another boot")
    keeper, left = lives.next()
    assert [[one.kind for one in events] for _, _, events in events_of(keeper, left)] == [["prompt"]]


def test_dropped_events_and_audit_events_are_still_said(lives: Lives) -> None:
    keeper, _ = lives.next()
    lane = lane_of(keeper, 1)
    lane.add("a", [event("a", 0, "prompt")])
    lane.drop("a", [event("a", 1)])
    act = AuditEvent(act="order_rejected", subject="tap:t", actor="tap:t", reason="why", at_us=1)
    record = write_record(act, id="audit/t/1/1", type=audits.TYPE, source="/tap/t", subject="tap:t", time_us=1)
    assert keeper.journal.audit(1, note_of(record))
    lives.die(keeper)
    keeper, left = lives.next()
    assert left.audits == [(1, 1, record)]
    (gap,) = [AuditEvent.model_validate_json(one.value) for one in left.acts]
    found = Gap.model_validate(gap.details)
    assert (found.epoch, found.partition, found.first_frame, found.cause) == (1, 1, 1, "the journal was full")
    assert left.acts[0].id == "gap/t/1/1/1-1"


def test_fewer_partitions_are_refused_while_something_waits_and_more_are_not(lives: Lives) -> None:
    keeper, _ = lives.next()
    lane_of(keeper, 3).add("a", [event("a", 0, "prompt"), event("a", 1, "completion")])
    lives.die(keeper)
    with pytest.raises(JournalError, match=r"events of partition 3 .* set it back to at least 4"):
        lives.next(partitions=2)
    keeper, left = lives.next(partitions=6)
    assert [len(frames) for frames in left.frames] == [0, 0, 0, 1, 0, 0]


async def test_synchronising_is_grouped_and_known(lives: Lives) -> None:
    keeper, _ = lives.next()
    lane_of(keeper).add("a", [event("a", 0, "prompt")])
    assert keeper.unsynced > 0
    await keeper.sync()
    assert keeper.unsynced == 0
    lane_of(keeper, 1).add("b", [event("b", 0, "prompt")])
    assert keeper.unsynced > 0
    await keeper.close()


async def test_what_kafka_has_does_not_stay_for_want_of_traffic(lives: Lives) -> None:
    keeper, _ = lives.next()
    lane = lane_of(keeper)
    lane.add("a", [event("a", 0, "prompt", b"private")])
    assert not keeper.journal.renew()
    lane.close_frame()
    keeper.journal.acknowledge(0, 1, 0, 1)
    assert keeper.journal.renew()
    keeper.folder.prepare()
    files = list(keeper.folder.path.glob("*.seg"))
    assert not [path for path in files if b"private" in path.read_bytes()]
    lane.add("a", [event("a", 1)])  # it still runs, and is known
    lives.die(keeper)
    keeper, left = lives.next()
    assert [[one.id for one in events] for _, _, events in events_of(keeper, left)] == [["a/1"], ["a/2"]]
    for partition, frames in enumerate(left.frames):
        for frame in frames:
            keeper.journal.acknowledge(partition, frame.epoch, frame.number, frame.accepted)
    await keeper.close()
    assert list(keeper.folder.path.glob("*.seg")) == []


def settings_of(folder: Path, **tap: Any) -> Settings:
    config = folder / "penstock.yaml"
    content = {
        "tap": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", **tap},
        "upstreams": [{"name": "a", "url": "http://127.0.0.1:9"}],
    }
    config.write_text(yaml.safe_dump(content))
    settings = load_settings(config)
    make_secrets(settings)
    return settings


def test_other_modes_have_no_journal(tmp_path: Path) -> None:
    assert opened(settings_of(tmp_path, audit="besteffort"), 1, Clock()) is None
    left = (tmp_path / ".penstock" / "journal").rglob("*")
    assert [path.name for path in left if path.is_file()] == ["lock"]


@pytest.mark.parametrize("damage", ["held", "foreign", "a file"])
def test_a_tap_says_why_it_cannot_use_its_journal(tmp_path: Path, damage: str) -> None:
    settings = settings_of(tmp_path)
    folder = settings.state / "journal" / "tap-1"
    holder = JournalKeeper(folder, "tap-1", 1, 4, SETTINGS, Clock())
    holder.open()
    said = f"{folder}: another tap (process {os.getpid()}) has this id and its journal here"
    if damage == "foreign":
        holder.folder.close()
        (folder / "0001.seg").write_bytes(b"PNSTKJNL" + b"\7" * 5000)
        said = f"{folder}/0001.seg: it is of version"
    elif damage == "a file":
        holder.folder.close()
        shutil.rmtree(folder)
        folder.write_text("")
        said = f"{folder}: cannot write the journal here"
    command = [sys.executable, "-m", "penstock.cli.main", "tap", "--config", str(tmp_path / "penstock.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (3, "")
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("penstock: ")]
    assert line.startswith(f"penstock: {said}")


async def test_a_tap_without_room_on_its_disk_starts_and_says_so(tmp_path: Path) -> None:
    """The limit on file sizes stands for a full disk: no segment can be made."""
    settings = settings_of(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        keeper = opened(settings, 1, Clock())
        assert keeper is not None
        lane = lane_of(keeper)
        assert lane.add("a", [event("a", 0, "prompt")]) == 0
        assert keeper.journal.full and keeper.journal.pressed
        assert keeper.folder.disk_full == "File too large"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    keeper.folder.prepare()
    keeper.journal.free()
    assert not keeper.journal.full
    assert lane.add("a", [event("a", 0, "prompt")]) == 1
    await keeper.close()
