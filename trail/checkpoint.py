"""Checkpoints: how many leaves a log had, and their root, as a signed note (c2sp.org/tlog-checkpoint). Pure.

A checkpoint's text is three lines: origin, size in decimal, root in base64. Extension lines of others are read over;
Penstock writes none.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from penstock.schemas.errors import TrailError

from .note import Verifier, open_note, sign


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed tree head. `time_s` is when it was signed, by the sealer's clock; None where no time was signed."""

    origin: str
    size: int
    root: bytes
    time_s: int | None = None

    def text(self) -> str:
        """The lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def sign_checkpoint(checkpoint: Checkpoint, seed: bytes) -> str:
    """The signed note; the key's name is the log's origin."""
    return sign(checkpoint.text(), checkpoint.origin, seed, checkpoint.time_s)


def open_checkpoint(note: str, origin: str, verifiers: Sequence[Verifier]) -> Checkpoint:
    """The checkpoint in a signed note. TrailError where it is not signed by one of `verifiers`, is of another log, or
    is no checkpoint."""
    opened = open_note(note, verifiers)
    lines = opened.text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines):
        raise TrailError("it is signed, but no checkpoint")
    name, size, root = lines[:3]
    if name != origin:
        raise TrailError(f"it is a checkpoint of {name}, not of {origin}")
    if not (size.isascii() and size.isdigit()) or (size[0] == "0" and size != "0"):
        raise TrailError("its size is no number")
    return Checkpoint(origin, int(size), _root(root), opened.time_s)


def join_notes(notes: Iterable[str]) -> str:
    """Notes as they stand in a file: each followed by an empty line."""
    return "".join(note + "\n" for note in notes)


def split_notes(lines: Iterable[str]) -> Iterator[str]:
    """The notes of a file, given its lines with their ends. What follows the last complete note is the last item if
    it is not empty: a torn note, which no key opens."""
    held: list[str] = []
    blank = 0
    for line in lines:
        held.append(line)
        blank += line == "\n"
        if blank == 2:
            yield "".join(held[:-1])
            held, blank = [], 0
    if held:
        yield "".join(held)


def _root(encoded: str) -> bytes:
    try:
        root = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise TrailError("its root is no base64") from error
    if len(root) != 32:
        raise TrailError("its root is not of 32 bytes")
    return root
