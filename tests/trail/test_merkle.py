"""Roots and proofs against the vectors of the certificate-transparency reference, and against RFC 6962's own words."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.trail.merkle import (
    EMPTY_ROOT,
    CompactRange,
    check_consistency,
    check_inclusion,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    node_hash,
    prove,
    root_of,
)

INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CONSISTENCY = {
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
LEAVES = [leaf_hash(bytes.fromhex(data)) for data in INPUTS]


def by_definition(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + by_definition(leaves[:split]) + by_definition(leaves[split:])).digest()


def made(size: int) -> list[bytes]:
    return [leaf_hash(number.to_bytes(4, "big")) for number in range(size)]


def inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    return prove(inclusion_ranges(index, len(leaves)), lambda begin, end: by_definition(leaves[begin:end]))


def consistency(leaves: Sequence[bytes], old: int) -> list[bytes]:
    return prove(consistency_ranges(old, len(leaves)), lambda begin, end: by_definition(leaves[begin:end]))


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_reference(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_an_empty_tree_has_the_hash_of_nothing() -> None:
    assert CompactRange().root() == EMPTY_ROOT == hashlib.sha256(b"").digest()


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_consistency_proofs_are_those_of_the_reference(old: int, new: int) -> None:
    assert [found.hex() for found in consistency(LEAVES[:new], old)] == CONSISTENCY[old, new]


@given(st.integers(0, 70))
def test_a_compact_range_has_the_root_of_the_definition(size: int) -> None:
    leaves = made(size)
    tree = CompactRange()
    for leaf in leaves:
        tree.append(leaf)
    assert tree.root() == by_definition(leaves)
    again = CompactRange(tree.size, tree.hashes)
    again.append(leaf_hash(b"more"))
    assert again.root() == by_definition([*leaves, leaf_hash(b"more")])
    assert tree.root() == by_definition(leaves), "a copy grew its original"


def test_a_compact_range_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 complete subtrees"):
        CompactRange(3, [bytes(32)])


@given(st.integers(1, 70), st.data())
def test_every_leaf_is_proven_and_no_other_in_its_place(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaves = made(size)
    root, proof = by_definition(leaves), inclusion(leaves, index)
    assert check_inclusion(leaves[index], index, size, proof, root)
    assert not check_inclusion(leaf_hash(b"other"), index, size, proof, root)
    assert not check_inclusion(leaves[index], index, size, [*proof, bytes(32)], root)
    assert not check_inclusion(leaves[index], index, size, proof, leaf_hash(b"root"))
    for other in range(size):
        assert other == index or not check_inclusion(leaves[index], other, size, proof, root)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        forged = [*proof[:at], node_hash(proof[at], proof[at]), *proof[at + 1 :]]
        assert not check_inclusion(leaves[index], index, size, forged, root)
        assert not check_inclusion(leaves[index], index, size, proof[:-1], root)


@given(st.integers(0, 70), st.data())
def test_growth_is_proven_and_rewriting_is_not(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(0, size))
    leaves = made(size)
    old_root, root, proof = by_definition(leaves[:old]), by_definition(leaves), consistency(leaves, old)
    assert check_consistency(old, size, old_root, root, proof)
    assert not check_consistency(old, size, old_root, root, [*proof, bytes(32)])
    if 0 < old < size:
        rewritten = [leaf_hash(b"rewritten"), *leaves[1:]]
        assert not check_consistency(old, size, old_root, by_definition(rewritten), consistency(rewritten, old))
        assert not check_consistency(old, size, old_root, root, proof[:-1])
        assert not check_consistency(old, size, leaf_hash(b"x"), root, proof)


@given(st.integers(1, 40), st.integers(1, 40), st.lists(st.binary(min_size=32, max_size=32), max_size=8))
def test_invented_proofs_prove_nothing(old: int, new: int, proof: list[bytes]) -> None:
    assert not check_consistency(old, new, leaf_hash(b"a"), leaf_hash(b"b"), proof)
    assert not check_inclusion(leaf_hash(b"a"), old, new, proof, leaf_hash(b"b"))


def test_ranges_outside_a_tree_are_refused() -> None:
    with pytest.raises(ValueError, match="leaf 3"):
        inclusion_ranges(3, 3)
    with pytest.raises(ValueError, match="no beginning"):
        consistency_ranges(4, 3)
