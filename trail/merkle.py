"""The Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1 is the same tree): roots and proofs. Pure.

A proof is a list of subtree roots. Which subtrees those are follows from the sizes alone (`inclusion_ranges`,
`consistency_ranges`), so whoever holds the leaves can compute each in turn, and no more than that is kept in memory.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

Range = tuple[int, int]
"""A complete subtree or its right edge: leaves from `begin` up to but without `end`."""

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
HASH_BYTES: Final = 32


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data): the hash of one leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right): the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class CompactRange:
    """The roots of the complete subtrees of a growing tree, largest first: all that the next root needs.

    Holds one hash per set bit of `size`.
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """The tree of `size` leaves with these subtree roots. ValueError where their number does not fit the size."""
        if size < 0 or len(hashes) != size.bit_count() or any(len(found) != HASH_BYTES for found in hashes):
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} complete subtrees of 32 bytes each")
        self.size = size
        self.hashes = list(hashes)

    def append(self, leaf: bytes) -> None:
        """Adds a leaf, given by its leaf hash."""
        hashes, size, joined = self.hashes, self.size, leaf
        while size & 1:
            joined = node_hash(hashes.pop(), joined)
            size >>= 1
        hashes.append(joined)
        self.size += 1

    def root(self) -> bytes:
        """The tree's root; EMPTY_ROOT of a tree without leaves."""
        if not self.hashes:
            return EMPTY_ROOT
        joined = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            joined = node_hash(left, joined)
        return joined

    def copy(self) -> "CompactRange":
        return CompactRange(self.size, self.hashes)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    tree = CompactRange()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The subtrees whose roots prove that leaf `index` is in the tree of `size`, from the leaf upwards.

    RFC 6962 section 2.1.1. ValueError unless 0 ≤ index < size.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves")
    begin, end, found = 0, size, []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((begin, middle))
            begin = middle
    return found[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """The subtrees whose roots prove that the tree of `old` leaves is how the tree of `new` leaves began.

    RFC 6962 section 2.1.2; empty where the sizes are equal or `old` is 0. ValueError unless 0 ≤ old ≤ new.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} leaves is no beginning of one of {new}")
    if old in (0, new):
        return []
    begin, end, complete, found = 0, new, True, []
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((begin, middle))
            begin, complete = middle, False
    if not complete:
        found.append((begin, end))
    return found[::-1]


def prove(ranges: Sequence[Range], subtree: Callable[[int, int], bytes]) -> list[bytes]:
    """The proof over `ranges`; `subtree(begin, end)` gives the root over those leaves."""
    return [subtree(begin, end) for begin, end in ranges]


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` leads from the leaf hash at `index` to `root` (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    number, last, joined = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if number & 1 or number == last:
            joined = node_hash(sibling, joined)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            joined = node_hash(joined, sibling)
        number, last = number >> 1, last >> 1
    return last == 0 and joined == root


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the tree of `old` leaves began the tree of `new` leaves (RFC 9162 section 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    number, last = old - 1, new - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    first = second = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            first, second = node_hash(node, first), node_hash(node, second)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            second = node_hash(second, node)
        number, last = number >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def _split(size: int) -> int:
    """The largest power of two below `size` (RFC 6962's k)."""
    return 1 << (size - 1).bit_length() - 1
