"""Secrets: versions, places, and that nothing prints them."""

import base64
from pathlib import Path

import pytest

from penstock.schemas.errors import SettingsError
from penstock.schemas.secrets import new_secret_text, new_token_text, parse_secret, read_secret, read_token


def line(version: int, fill: int) -> str:
    return f"{version} {base64.b64encode(bytes([fill]) * 32).decode()}"


def test_the_highest_version_is_current_and_all_still_check() -> None:
    secret = parse_secret("pepper", f"{line(1, 1)}\n\n{line(12, 2)};{line(3, 3)}\n")
    assert secret.current == b"\x02" * 32
    assert secret.all == [b"\x02" * 32, b"\x03" * 32, b"\x01" * 32]
    assert "AgIC" not in repr(secret) and "\\x02" not in repr(secret)


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pepper").write_text(new_secret_text())
    assert len(read_secret("pepper", "file:pepper", tmp_path).current) == 32
    monkeypatch.setenv("PENSTOCK_TEST_SECRET", line(1, 7))
    assert read_secret("pepper", "env:PENSTOCK_TEST_SECRET", tmp_path).current == b"\x07" * 32


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ("file:absent", "penstock init"),
        ("env:PENSTOCK_ABSENT", "PENSTOCK_ABSENT is not set"),
        ("hunter2", "write file:PATH or env:NAME"),
    ],
)
def test_a_missing_secret_says_what_to_do(tmp_path: Path, reference: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=f"secrets.pepper: .*{complaint}"):
        read_secret("pepper", reference, tmp_path)


@pytest.mark.parametrize("text", ["", "1 aGVsbG8=", "one " + "A" * 44, "hunter2hunter2", "1 !!!"])
def test_a_wrong_line_is_named_by_number_and_never_shown(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_secret("pepper", text)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize("text", ["", "short\n", "two words that are long enough", "ä" * 20])
def test_a_token_is_one_long_word_and_no_error_shows_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(SettingsError, match=r"tap\.admin_token") as raised:
        read_token("tap.admin_token", "file:token", tmp_path)
    assert not text.strip() or text.strip() not in str(raised.value)


def test_a_token_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="penstock init"):
        read_token("tap.admin_token", "file:token", tmp_path)
    (tmp_path / "token").write_text(new_token_text())
    assert len(read_token("tap.admin_token", "file:token", tmp_path)) == 43
