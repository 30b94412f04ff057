"""Edge: the file of checkpoints, outside the store: signed notes one after another, each followed by an empty line."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from penstock.schemas.errors import ServiceUnavailable

from .checkpoint import join_notes, split_notes

TAIL_BYTES: Final = 65_536
_END: Final = re.compile("\n\u2014 [^\n]+\n\n".encode())
"""The last signature line of a note, and the empty line after it."""


def append_note(path: Path, note: str) -> None:
    """Adds a note to the file, durably: after return it survives a loss of power. Makes the file where it is missing.

    What an earlier writer left torn at its end is cut off first. ServiceUnavailable where the disk refuses.
    """
    try:
        fresh = not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            begin, tail = _tail(descriptor)
            ends = [found.end() for found in _END.finditer(tail)]
            end = begin + ends[-1] if ends else 0
            os.ftruncate(descriptor, end)
            os.pwrite(descriptor, join_notes([note]).encode(), end)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if fresh:
            _sync_folder(path.parent)
    except OSError as error:
        raise ServiceUnavailable(f"cannot write {path} ({error.strerror}): checkpoints must be kept there") from error


def last_note(path: Path) -> str | None:
    """The last whole note of the file; None where it has none."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        _, tail = _tail(descriptor)
    finally:
        os.close(descriptor)
    ends = [found.end() for found in _END.finditer(tail)]
    if not ends:
        return None
    begin = ends[-2] if len(ends) > 1 else 0
    return tail[begin : ends[-1] - 1].decode("utf-8", "replace")


def read_notes(path: Path) -> Iterator[str]:
    """All notes of the file in order, one in memory at a time; a torn one at its end included."""
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        yield from split_notes(file)


def _tail(descriptor: int) -> tuple[int, bytes]:
    begin = max(0, os.fstat(descriptor).st_size - TAIL_BYTES)
    return begin, os.pread(descriptor, TAIL_BYTES, begin)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
