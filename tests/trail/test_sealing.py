"""How rows get numbers, which leaves stand, and what a sealer refuses to go on from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas.errors import TrailError
from penstock.trail.checkpoint import Checkpoint
from penstock.trail.merkle import CompactRange, root_of
from penstock.trail.sealing import Leaf, Tree, extend, standing

from .rows import TOPIC, leaves_of, rows_of

ROWS = rows_of(10)
LEAVES = leaves_of(ROWS)
HASHES = [leaf.hash for leaf in LEAVES]


def signed(size: int, root: bytes | None = None) -> tuple[str, Checkpoint]:
    return "file", Checkpoint("log", size, root_of(HASHES[:size]) if root is None else root)


def test_rows_get_dense_numbers_and_the_tree_grows_with_them() -> None:
    log = Tree(1, CompactRange())
    assert log.grow(ROWS[:7]) + log.grow(ROWS[7:]) == LEAVES
    assert log.tree.root() == root_of(HASHES)
    assert log.places == {(TOPIC, 0): (9, 1)}


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 3)), max_size=8))
def test_leaves_stand_up_to_the_first_gap_or_relapse(found: list[tuple[int, int]]) -> None:
    leaves = [Leaf(number, b"t", 0, number, 0, bytes(32), sealer) for number, sealer in sorted(set(found))]
    kept = list(standing(leaves, 0, 0))
    assert [leaf.number for leaf in kept] == list(range(len(kept)))
    assert [leaf.sealer for leaf in kept] == sorted(leaf.sealer for leaf in kept)
    assert kept == leaves[: len(kept)]


def test_what_a_replaced_sealer_wrote_late_does_not_stand() -> None:
    late = [leaf._replace(sealer=1) for leaf in LEAVES[6:]]
    found = [leaf._replace(sealer=2) for leaf in LEAVES[3:6]]
    assert list(standing([*LEAVES[:3], *found, *late], 0, 0)) == [*LEAVES[:3], *found]
    signed = len(LEAVES)
    assert list(standing([*LEAVES[:3], *found, *late], 0, signed)) == [*LEAVES[:3], *found, *late], (
        "never what is signed"
    )


def test_a_tree_that_agrees_with_every_checkpoint_is_taken() -> None:
    tree = CompactRange()
    assert extend(tree, LEAVES, [signed(20), signed(7), signed(0)]) == 1
    assert tree.root() == root_of(HASHES)


def test_a_start_in_the_middle_is_held_against_the_checkpoint_of_its_size() -> None:
    tree = CompactRange()
    extend(tree, LEAVES[:7], [])
    extend(tree.copy(), LEAVES[7:], [signed(7)])
    with pytest.raises(TrailError, match="first 7 leaves do not have the root"):
        extend(tree.copy(), LEAVES[7:], [signed(7, bytes(32))])


def test_a_store_that_lost_signed_leaves_is_refused_and_they_are_named() -> None:
    with pytest.raises(TrailError, match=r"covers 20 leaves, the store holds 12: leaves 12–19 are missing"):
        extend(CompactRange(), LEAVES[:12], [signed(20)])


def test_a_store_that_changed_signed_leaves_is_refused() -> None:
    altered = [*LEAVES[:4], LEAVES[4]._replace(hash=bytes(32)), *LEAVES[5:]]
    with pytest.raises(TrailError, match="first 20 leaves do not have the root"):
        extend(CompactRange(), altered, [signed(4), signed(20)])
