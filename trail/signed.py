"""All signed roots, from every place that holds checkpoints, in the order of their sizes. Pure.

Keeps 40 bytes per distinct size of each place.
"""

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from .checkpoint import Checkpoint
from .merkle import HASH_BYTES
from .report import Report


class SignedRoot(NamedTuple):
    """A size, and the root that is signed for it."""

    size: int
    root: bytes


class SignedRoots:
    """Collects checkpoints whose signatures were verified, and finds those that contradict each other."""

    def __init__(self) -> None:
        self._sizes = array("Q")
        self._roots = bytearray()
        self._where: str | None = None
        self._last = SignedRoot(-1, b"")
        self.count = 0
        self.last_time_s: int | None = None

    def add(self, where: str, number: int, checkpoint: Checkpoint, report: Report) -> None:
        """Takes checkpoint `number` of a place; a place is added as a whole. A size that shrinks is a fault."""
        self.count += 1
        if checkpoint.time_s is not None:
            self.last_time_s = max(self.last_time_s or 0, checkpoint.time_s)
        if where != self._where:
            self._where, self._last = where, SignedRoot(-1, b"")
        found = SignedRoot(checkpoint.size, checkpoint.root)
        if found == self._last:
            return
        if found.size < self._last.size:
            report.fault(
                "checkpoint",
                f"{where} entry {number}",
                f"its size {found.size} is smaller than {self._last.size} of the entry before it: a log only grows",
            )
        self._last = found
        self._sizes.append(found.size)
        self._roots += found.root

    def in_order(self, report: Report) -> Iterator[SignedRoot]:
        """The distinct sizes with their roots, ascending. Two roots of one size are a fault; the first met counts."""
        before = SignedRoot(-1, b"")
        for index in sorted(range(len(self._sizes)), key=self._sizes.__getitem__):
            found = SignedRoot(
                self._sizes[index], bytes(self._roots[index * HASH_BYTES : index * HASH_BYTES + HASH_BYTES])
            )
            if found.size > before.size:
                yield found
                before = found
            elif found.root != before.root:
                report.fault(
                    "checkpoint",
                    f"size {found.size}",
                    "two signed checkpoints give it different roots: the log was forked, or its signer was made to lie",
                )

    @property
    def largest(self) -> int:
        """The size of the largest signed tree; 0 without one."""
        return max(self._sizes, default=0)
