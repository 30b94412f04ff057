"""Every kind of damage to leaves and rows is named by its place, and undamaged logs are not accused."""

from collections.abc import Sequence

from penstock.trail.check_leaves import LeafCheck
from penstock.trail.leaf import Row, row_hash
from penstock.trail.merkle import root_of
from penstock.trail.report import Report
from penstock.trail.sealing import Leaf
from penstock.trail.signed import SignedRoot

from .rows import TOPIC, leaves_of, rows_of

ROWS = rows_of(10)
LEAVES = leaves_of(ROWS)
HASHES = [leaf.hash for leaf in LEAVES]
SIGNED = [SignedRoot(size, root_of(HASHES[:size])) for size in (0, 4, 8, 16, 20)]
WHERE = f"{TOPIC.decode()}/0"


def checked(
    leaves: Sequence[Leaf], rows: Sequence[Row], signed: Sequence[SignedRoot] = SIGNED
) -> list[tuple[str, str]]:
    report = Report("log")
    found = {row.position: row for row in rows}
    check = LeafCheck(iter(signed), report)
    for leaf in leaves:
        check.feed(leaf, found.get(leaf.position))
    check.finish()
    return [(fault.kind, fault.where) for fault in report.faults]


def test_an_undamaged_log_has_no_fault() -> None:
    assert checked(LEAVES, ROWS) == []
    assert checked(LEAVES[:17], ROWS, SIGNED[:-1]) == []
    assert checked([], [], SIGNED[:1]) == []


def test_an_altered_row_is_named_alone_since_the_signed_roots_vouch_for_its_leaf() -> None:
    rows = [*ROWS[:5], ROWS[5]._replace(commitment=bytes(32)), *ROWS[6:]]
    assert checked(LEAVES, rows) == [("row_altered", f"leaf 5 ({WHERE}/2/1)")]


def test_a_deleted_row_is_named() -> None:
    assert checked(LEAVES, ROWS[:5] + ROWS[6:]) == [("row_missing", f"leaf 5 ({WHERE}/2/1)")]


def test_an_altered_leaf_is_told_from_an_altered_row() -> None:
    leaves = [*LEAVES[:5], LEAVES[5]._replace(hash=bytes(32)), *LEAVES[6:]]
    assert checked(leaves, ROWS) == [("row_altered", f"leaf 5 ({WHERE}/2/1)"), ("leaf_altered", "leaves 4–7")]


def test_a_row_rewritten_with_its_leaf_is_bracketed_by_the_checkpoints_around_it() -> None:
    row = ROWS[9]._replace(exchange_id=b"another")
    rows = [*ROWS[:9], row, *ROWS[10:]]
    leaves = [*LEAVES[:9], LEAVES[9]._replace(hash=row_hash(row)), *LEAVES[10:]]
    assert checked(leaves, rows) == [("root", "leaves 8–15")]


def test_a_swapped_pair_is_named() -> None:
    leaves = list(LEAVES)
    leaves[9], leaves[10] = LEAVES[10]._replace(number=9), LEAVES[9]._replace(number=10)
    assert checked(leaves, ROWS) == [("leaf_order", f"leaf 10 ({WHERE}/4/1)"), ("root", "leaves 8–15")]


def test_a_truncated_tail_is_named() -> None:
    assert checked(LEAVES[:17], ROWS[:17]) == [("truncated", "leaf 17")]
    assert checked([], []) == [("truncated", "leaf 0")]


def test_a_missing_leaf_in_the_middle_is_named_and_later_roots_are_not_guessed() -> None:
    assert checked(LEAVES[:5] + LEAVES[7:], ROWS) == [("leaf_missing", "leaves 5–6")]


def test_the_message_of_a_truncated_tail_counts() -> None:
    report = Report("log")
    check = LeafCheck(iter(SIGNED), report)
    for leaf, row in zip(LEAVES[:17], ROWS, strict=False):
        check.feed(leaf, row)
    check.finish()
    assert "checkpoint says 20 leaves, the store holds 17: leaves 17–19 are missing" in str(report.faults[0])
