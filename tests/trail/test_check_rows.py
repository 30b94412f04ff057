"""The chain and the density of a partition's rows."""

from collections.abc import Sequence

from penstock.trail.check_rows import OffsetHole, RowCheck
from penstock.trail.leaf import Row
from penstock.trail.report import Report

from .rows import TOPIC, rows_of

ROWS = rows_of(6)


def checked(rows: Sequence[Row], topic: bytes = TOPIC) -> tuple[list[tuple[str, str]], list[OffsetHole], Report]:
    report = Report("log")
    check = RowCheck((topic, 0), report)
    for row in rows:
        check.feed(row)
    return (
        [(fault.kind, fault.where.rsplit("/", 2)[-2] + "/" + fault.where[-1]) for fault in report.faults],
        check.holes,
        report,
    )


def test_a_whole_partition_has_no_fault() -> None:
    faults, holes, report = checked(ROWS)
    assert (faults, holes, report.rows, report.stored) == ([], [], 12, 12)


def test_a_missing_index_breaks_chain_and_density() -> None:
    assert checked(ROWS[:4] + ROWS[5:])[0] == [("chain", "2/1"), ("indexes", "2/1")]


def test_a_missing_offset_is_a_hole_but_not_where_topics_are_compacted() -> None:
    assert checked(ROWS[:4] + ROWS[6:])[1] == [OffsetHole(2, 2)]
    assert checked(ROWS[:4] + ROWS[6:], b"penstock.control.v1")[1] == []


def test_an_altered_commitment_breaks_the_link_after_it() -> None:
    assert checked([*ROWS[:4], ROWS[4]._replace(commitment=bytes(32)), *ROWS[5:]])[0] == [("chain", "2/1")]


def test_rows_cut_off_before_the_first_are_noticed() -> None:
    assert checked(ROWS[2:])[0] == [("chain", "1/0")]


def test_dead_letters_and_copies_are_counted_apart() -> None:
    rows = [ROWS[0]._replace(kind=b"dead_letter"), ROWS[1]._replace(duplicate_of=b"a/0/0/0"), *ROWS[2:]]
    report = checked(rows)[2]
    assert (report.rows, report.stored, report.dead_lettered, report.duplicates) == (12, 10, 1, 1)
    assert report.accepted == 12
