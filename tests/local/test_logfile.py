"""Logs are appended to and turned over at a start."""

from pathlib import Path

from penstock.local.logfile import TURN_OVER_BYTES, last_lines, open_log


def test_a_log_is_appended_to(tmp_path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        with open_log(tmp_path / "logs", "tap") as file:
            file.write(text)
    assert last_lines(tmp_path / "logs", "tap") == "one\ntwo"
    assert last_lines(tmp_path / "logs", "tap", 1) == "two"


def test_a_large_log_is_turned_over_once(tmp_path: Path) -> None:
    for letter in (b"a", b"b"):
        (tmp_path / "tap.log").write_bytes(letter * (TURN_OVER_BYTES + 1))
        open_log(tmp_path, "tap").close()
    assert (tmp_path / "tap.log").read_bytes() == b""
    assert (tmp_path / "tap.log.1").read_bytes()[:1] == b"b"


def test_the_end_of_one_run_holds_nothing_of_earlier_ones(tmp_path: Path) -> None:
    (tmp_path / "tap.log").write_bytes(b"earlier\nthis\nrun\n")
    assert last_lines(tmp_path, "tap", start_bytes=8) == "this\nrun"
    assert last_lines(tmp_path, "tap", 1, start_bytes=8) == "run"


def test_a_missing_or_binary_log_gives_text(tmp_path: Path) -> None:
    assert last_lines(tmp_path, "tap") == ""
    (tmp_path / "tap.log").write_bytes(b"\xff\xfe\nend")
    assert last_lines(tmp_path, "tap").endswith("end")
