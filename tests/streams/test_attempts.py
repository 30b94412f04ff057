"""A record that crashes the worker is given up at the third crash; its neighbours are not."""

from pathlib import Path

from penstock.streams.attempts import Attempts
from penstock.streams.source import Source

SOURCES = [Source("t", 0, offset, None, b"x", (), 0) for offset in range(5)]


def run_until_crash(path: Path, bad: int) -> list[int] | None:
    """One life of a worker that dies over offset `bad`: what it gave up, or None if it died."""
    attempts = Attempts(path)
    lost = []
    for portion in attempts.portions(SOURCES):
        if attempts.given_up(portion):
            lost += [source.offset for source in portion]
        else:
            attempts.begin(portion)
            if any(source.offset == bad for source in portion):
                return None
        attempts.settle(portion)
    return lost


def test_the_third_crash_gives_up_the_one_record(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert [run_until_crash(path, 3) for _ in range(4)] == [None, None, None, [3]]
    assert run_until_crash(path, -1) == []


def test_a_death_while_nothing_is_decoded_never_counts(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    for _ in range(5):
        attempts = Attempts(path)
        (portion,) = attempts.portions(SOURCES)
        attempts.begin(portion)
        attempts.settle(portion)
        assert not attempts.given_up(SOURCES[:1])


def test_one_crash_makes_it_go_one_by_one_until_it_is_past(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    Attempts(path).begin(SOURCES[:3])
    attempts = Attempts(path)
    assert [len(portion) for portion in attempts.portions(SOURCES)] == [1] * 5
    attempts.settle(SOURCES)
    assert [len(portion) for portion in attempts.portions(SOURCES)] == [5]


def test_a_damaged_file_counts_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(b"\x00[")
    assert [len(portion) for portion in Attempts(path).portions(SOURCES)] == [5]
