"""Holds leaves against rows, and both against the signed roots, leaf by leaf. Pure; memory does not grow."""

from collections.abc import Iterator

from .leaf import Row, row_hash
from .merkle import CompactRange
from .report import Report
from .sealing import Leaf, Partition, Place
from .signed import SignedRoot


class LeafCheck:
    """Fed with the leaves in the order of their numbers, each with its row if the store has it.

    Two trees grow: over the leaf hashes as stored, and over the hashes of the rows as they are. A root that was signed
    tells which of both was altered, and between which two checkpoints.
    """

    def __init__(self, signed: Iterator[SignedRoot], report: Report) -> None:
        self._signed = signed
        self._next = next(signed, None)
        self._report = report
        self._tree = CompactRange()
        self._actual: CompactRange | None = None
        self._places: dict[Partition, Place] = {}
        self._good = 0
        self._broken = False
        self._wanted = 0
        self._compare()

    def feed(self, leaf: Leaf, row: Row | None) -> None:
        """The next leaf. `row` is the row at its position, None where the store has none."""
        self._check_number(leaf)
        where = f"leaf {leaf.number} ({leaf.position})"
        partition, place = (leaf.topic, leaf.partition), (leaf.offset, leaf.frame_index)
        before = self._places.get(partition)
        if before is not None and place <= before:
            self._report.fault(
                "leaf_order", where, f"it stands after {before[0]}/{before[1]} of its partition: leaves were swapped"
            )
        self._places[partition] = max(place, before or place)
        found = leaf.hash
        if row is None:
            self._report.fault("row_missing", where, "its row is missing from events_log")
        else:
            found = row_hash(row)
            if found != leaf.hash:
                self._report.fault(
                    "row_altered", where, "the row does not give the hash that its leaf holds: one of both was altered"
                )
        self._grow(leaf.hash, found)

    def finish(self) -> None:
        """After the last leaf: says what the largest checkpoint covers beyond it."""
        largest = self._next
        for found in self._signed:
            largest = found
        self._report.leaves = self._wanted
        if largest is not None and largest.size > self._wanted:
            self._report.fault(
                "truncated",
                f"leaf {self._wanted}",
                f"checkpoint says {largest.size} leaves, the store holds {self._wanted}: leaves "
                f"{self._wanted}–{largest.size - 1} are missing",
            )

    def _check_number(self, leaf: Leaf) -> None:
        if leaf.number != self._wanted:
            missing = f"leaf {self._wanted}"
            if leaf.number > self._wanted + 1:
                missing = f"leaves {self._wanted}–{leaf.number - 1}"
            self._report.fault(
                "leaf_missing", missing, "missing from the store, so no root above can be computed: restore them"
            )
            self._broken = True
        self._wanted = leaf.number + 1

    def _grow(self, stored: bytes, actual: bytes) -> None:
        if self._broken:
            self._skip()
            return
        if stored != actual and self._actual is None:
            self._actual = self._tree.copy()
        self._tree.append(stored)
        if self._actual is not None:
            self._actual.append(actual)
        self._compare()

    def _skip(self) -> None:
        while self._next is not None and self._next.size <= self._wanted:
            self._next = next(self._signed, None)

    def _compare(self) -> None:
        while self._next is not None and self._next.size <= self._tree.size:
            signed, self._next = self._next, next(self._signed, None)
            if signed.root == self._tree.root():
                self._good = signed.size
            elif self._actual is not None and signed.root == self._actual.root():
                self._report.fault(
                    "leaf_altered",
                    f"leaves {self._good}–{signed.size - 1}",
                    f"the rows give the root that checkpoint {signed.size} signs, the leaves do not: the leaves named "
                    f"in this range were altered, the rows were not",
                )
                self._tree, self._actual, self._good = self._actual, None, signed.size
            else:
                self._report.fault("root", f"leaves {self._good}–{signed.size - 1}", self._bracket(signed.size))
                self._broken = True
                self._skip()

    def _bracket(self, size: int) -> str:
        before = f"checkpoint {self._good} still matches" if self._good else "no smaller checkpoint matches"
        return (
            f"their root is not the one that checkpoint {size} signs, and {before}: within this range something was "
            f"altered, together with its leaf where no other fault names it. Roots above cannot be checked"
        )
