"""Checkpoints from several places become one ascending list; contradictions among them are faults."""

from penstock.trail.checkpoint import Checkpoint
from penstock.trail.report import Report
from penstock.trail.signed import SignedRoot, SignedRoots

A, B = b"a" * 32, b"b" * 32


def collected(*found: tuple[str, int, bytes]) -> tuple[list[SignedRoot], Report]:
    signed, report = SignedRoots(), Report("log")
    for number, (where, size, root) in enumerate(found, 1):
        signed.add(where, number, Checkpoint("log", size, root, number), report)
    roots = list(signed.in_order(report))
    assert signed.largest == max((size for _, size, _ in found), default=0)
    return roots, report


def test_the_same_size_and_root_count_once() -> None:
    roots, report = collected(("file", 1, A), ("file", 1, A), ("file", 5, B), ("topic", 1, A), ("topic", 3, B))
    assert roots == [(1, A), (3, B), (5, B)]
    assert report.ok


def test_two_roots_of_one_size_are_a_fork() -> None:
    roots, report = collected(("file", 4, A), ("topic", 4, B))
    assert len(roots) == 1
    assert [fault.where for fault in report.faults] == ["size 4"]


def test_a_log_that_shrinks_is_a_fault() -> None:
    _, report = collected(("file", 4, A), ("file", 3, B))
    assert [fault.where for fault in report.faults] == ["file entry 2"]
