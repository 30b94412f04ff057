"""Edge: one process per worker and instance on a state folder: two would take each other's place in the group."""

import fcntl
import os
from pathlib import Path

from penstock.schemas.errors import ServiceUnavailable


def only_instance(run: Path, name: str) -> int:
    """Takes `<run>/<name>.lock` for the life of this process; returns its descriptor. ServiceUnavailable where another
    process has it."""
    run.mkdir(parents=True, exist_ok=True)
    file = os.open(run / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        held = os.pread(file, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(file)
        raise ServiceUnavailable(
            f"{name} runs here already (process {held}): give each replica an `--instance` of its own, or stop it"
        ) from error
    os.ftruncate(file, 0)
    os.pwrite(file, b"%d\n" % os.getpid(), 0)
    return file
