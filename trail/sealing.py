"""What a sealer knows, and how it gives rows their numbers. Pure.

Leaf numbers are dense. A leaf says by which sealer it was written (`sealer` grows with each start): where a sealer that
was thought dead writes late, its leaves lose against those of its successor (docs/trail.md, "One sealer").
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from penstock.schemas.errors import TrailError

from .checkpoint import Checkpoint
from .leaf import Position, Row, row_hash
from .merkle import CompactRange

Partition = tuple[bytes, int]
Place = tuple[int, int]
"""(offset, frame_index) within a partition."""


class Leaf(NamedTuple):
    """One row of `leaves`: the number of an event's row, and its hash."""

    number: int
    topic: bytes
    partition: int
    offset: int
    frame_index: int
    hash: bytes
    sealer: int

    @property
    def position(self) -> Position:
        return Position(self.topic, self.partition, self.offset, self.frame_index)


@dataclass(slots=True)
class Tree:
    """The log as a sealer holds it: the tree so far, and the last sealed place of each partition."""

    sealer: int
    tree: CompactRange
    places: dict[Partition, Place] = field(default_factory=dict)

    def grow(self, rows: Iterable[Row]) -> list[Leaf]:
        """The leaves of `rows`, in their order; the tree has grown by them afterwards."""
        leaves = []
        for row in rows:
            found = row_hash(row)
            leaves.append(
                Leaf(self.tree.size, row.topic, row.partition, row.offset, row.frame_index, found, self.sealer)
            )
            self.tree.append(found)
            self.places[row.topic, row.partition] = (row.offset, row.frame_index)
        return leaves


def standing(leaves: Iterable[Leaf], begin: int, signed: int) -> Iterator[Leaf]:
    """The leaves from number `begin` on that stand: up to the first missing number, and beyond the `signed` ones up to
    the first leaf of a sealer older than one before it, which one left behind that had already been replaced."""
    wanted, newest = begin, 0
    for leaf in leaves:
        if leaf.number != wanted or (leaf.sealer < newest and wanted >= signed):
            return
        yield leaf
        wanted, newest = wanted + 1, max(newest, leaf.sealer)


def extend(tree: CompactRange, leaves: Iterable[Leaf], signed: Sequence[tuple[str, Checkpoint]]) -> int:
    """Appends `leaves` to `tree` and holds it against checkpoints on the way; returns the newest sealer met.

    `signed` pairs a checkpoint with where it was found. TrailError where the leaves contradict one, or are fewer than
    it covers. Checkpoints smaller than `tree` at the start are the caller's to check.
    """
    newest = 0
    waiting = sorted(signed, key=lambda found: found[1].size)
    waiting = [found for found in waiting if found[1].size >= tree.size]
    _compare(tree, waiting)
    for leaf in leaves:
        tree.append(leaf.hash)
        newest = max(newest, leaf.sealer)
        if waiting and waiting[0][1].size == tree.size:
            _compare(tree, waiting)
    if waiting:
        where, checkpoint = waiting[-1]
        raise TrailError(
            f"the checkpoint in {where} covers {checkpoint.size} leaves, the store holds {tree.size}: leaves "
            f"{tree.size}–{checkpoint.size - 1} are missing. Restore the store; nothing is signed before"
        )
    return newest


def _compare(tree: CompactRange, waiting: list[tuple[str, Checkpoint]]) -> None:
    while waiting and waiting[0][1].size == tree.size:
        where, checkpoint = waiting.pop(0)
        if checkpoint.root != tree.root():
            raise TrailError(
                f"the store's first {tree.size} leaves do not have the root that the checkpoint in {where} signs: run "
                f"`penstock verify`; nothing is signed before the store is as it was"
            )
