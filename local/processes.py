"""Edge: processes of this deployment: tethered commands, pid files, and leftovers of a supervisor that was killed."""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from penstock.schemas.errors import ServiceUnavailable, SettingsError

TETHER = Path(__file__).with_name("tether.py")


def tethered(command: Sequence[str], when_parent_dies: signal.Signals) -> list[str]:
    """The command line that runs `command` so that it gets a signal when this process dies."""
    return [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), str(int(when_parent_dies)), *command]


def write_pid(run: Path, name: str, pid: int) -> None:
    """Publishes `<run>/<name>.pid` in one step."""
    run.mkdir(parents=True, exist_ok=True)
    fresh = run / f".{name}.pid.{os.getpid()}"
    fresh.write_text(f"{pid}\n")
    fresh.replace(run / f"{name}.pid")


def read_pid(run: Path, name: str) -> int | None:
    """The pid in `<run>/<name>.pid`; None where there is none."""
    try:
        return int((run / f"{name}.pid").read_text())
    except (OSError, ValueError):
        return None


def command_of(pid: int) -> list[str]:
    """Arguments of a living process; empty where it is gone, a zombie, or another user's."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def stop_leftover(run: Path, name: str, marks: Sequence[str], patience_s: float) -> int | None:
    """Stops the process that `<name>.pid` names if its command line holds every one of `marks`; returns its pid.

    A pid that now belongs to something else is left alone. SIGTERM first, SIGKILL after `patience_s`.
    """
    pid = read_pid(run, name)
    if pid is None or pid == os.getpid() or not all(mark in command_of(pid) for mark in marks):
        return None
    for number, wait_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            break
        if _gone_within(pid, wait_s, marks):
            break
    return pid


@contextmanager
def only_one(folder: Path, what: str) -> Iterator[None]:
    """Holds `folder/.owner` for this process. The kernel lets go when the process ends, however it ends.

    ServiceUnavailable where another process has it, SettingsError where nothing can be written there.
    """
    with _owner(folder) as owner:
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner.seek(0)
            holder = owner.read().strip() or "unknown"
            raise ServiceUnavailable(
                f"{what}: process {holder} already runs on {folder}: stop it first, or use another state folder"
            ) from error
        owner.truncate(0)
        owner.write(str(os.getpid()))
        owner.flush()
        yield


def _owner(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # prompts will lie in it
        return (folder / ".owner").open("a+")
    except OSError as error:
        raise SettingsError(f"state_dir: cannot write in {folder} ({error.strerror}): name another folder") from error


def _gone_within(pid: int, wait_s: float, marks: Sequence[str]) -> bool:
    """Polls: a process that is not our child cannot be waited for."""
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        if not all(mark in command_of(pid) for mark in marks):
            return True
        time.sleep(0.05)
    return False
