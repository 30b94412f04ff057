"""Edge: the log file of a child: appended to, and turned over at a start when it has grown."""

from pathlib import Path
from typing import BinaryIO

TURN_OVER_BYTES = 10 * 1024 * 1024


def open_log(logs: Path, name: str) -> BinaryIO:
    """`<logs>/<name>.log`, for appending; one older file is kept as `<name>.log.1`."""
    logs.mkdir(parents=True, exist_ok=True)
    path = logs / f"{name}.log"
    if path.exists() and path.stat().st_size > TURN_OVER_BYTES:
        path.replace(logs / f"{name}.log.1")
    return path.open("ab")


def last_lines(logs: Path, name: str, count: int = 15, start_bytes: int = 0) -> str:
    """The end of a log, for an error message; empty where there is none. `start_bytes`: where the run began that it is
    about, since a log holds many."""
    try:
        with (logs / f"{name}.log").open("rb") as file:
            file.seek(max(start_bytes, file.seek(0, 2) - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-count:])
