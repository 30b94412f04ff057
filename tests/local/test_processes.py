"""Pid files, tethers and leftovers, with real processes."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.local.processes import command_of, only_one, read_pid, stop_leftover, tethered, write_pid
from penstock.schemas.errors import ServiceUnavailable, SettingsError

SLEEPER = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)", "a-mark"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)",
    "a-mark",
]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(SLEEPER, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"\n"  # it is what it was told to be
        yield process
        process.kill()


def test_a_pid_is_published_and_read(tmp_path: Path) -> None:
    assert read_pid(tmp_path, "tap") is None
    write_pid(tmp_path, "tap", 42)
    assert read_pid(tmp_path, "tap") == 42
    (tmp_path / "tap.pid").write_text("")
    assert read_pid(tmp_path, "tap") is None


def test_a_leftover_is_stopped(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    write_pid(tmp_path, "tap", sleeper.pid)
    assert stop_leftover(tmp_path, "tap", ["a-mark"], 10) == sleeper.pid
    assert sleeper.wait(10) == -signal.SIGTERM


def test_a_leftover_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(STUBBORN, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"\n"
        write_pid(tmp_path, "tap", process.pid)
        assert stop_leftover(tmp_path, "tap", ["a-mark"], 0.2) == process.pid
        assert process.wait(10) == -signal.SIGKILL


def test_a_pid_that_is_someone_elses_now_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    write_pid(tmp_path, "tap", sleeper.pid)
    assert stop_leftover(tmp_path, "tap", ["penstock.cli.main", "tap"], 10) is None
    assert sleeper.poll() is None
    write_pid(tmp_path, "tap", os.getpid())
    assert stop_leftover(tmp_path, "tap", [], 10) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_tethered_process_dies_with_its_parent() -> None:
    parent_code = (
        "import subprocess, signal, sys, time\n"
        "from penstock.local.processes import tethered\n"
        f"child = subprocess.Popen(tethered({SLEEPER!r}, signal.SIGKILL), stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent_code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert "a-mark" in command_of(pid)
        descriptor = os.pidfd_open(pid)
        parent.kill()
        try:
            assert select.select([descriptor], [], [], 10)[0], "it outlived its parent"
        finally:
            os.close(descriptor)


def test_a_tether_whose_parent_is_gone_runs_nothing() -> None:
    command = tethered([sys.executable, "-c", "print('ran')"], signal.SIGTERM)
    command[4] = "1"  # not our pid
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


def test_one_folder_has_one_owner(tmp_path: Path) -> None:
    expected = pytest.raises(ServiceUnavailable, match=f"process {os.getpid()} already runs")
    with only_one(tmp_path, "store"), expected, only_one(tmp_path, "store"):
        pass
    with only_one(tmp_path, "store"):
        assert (tmp_path / ".owner").read_text() == str(os.getpid())


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SettingsError, match="state_dir: cannot write in"), only_one(tmp_path / "taken", "a test"):
        pass
