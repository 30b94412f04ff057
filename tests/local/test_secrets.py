"""Secrets are made once, closed to others, and never changed."""

import stat
from pathlib import Path

import pytest

from penstock.local.secrets import make_secrets
from penstock.schemas.errors import SettingsError
from penstock.schemas.secrets import new_secret_text, read_secret
from penstock.schemas.settings import Settings


def settings_in(folder: Path, **references: str) -> Settings:
    return Settings.model_validate({"base": folder, "secrets": references})


def test_all_are_made_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    made = make_secrets(settings)
    assert sorted(path.name for path in made) == [
        "admin_token",
        "content_kek",
        "control_mac",
        "pepper",
        "signing_key",
    ]
    before = {path: path.read_text() for path in made}
    assert len(set(before.values())) == 5
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in made)
    assert stat.S_IMODE(made[0].parent.stat().st_mode) == 0o700
    assert make_secrets(settings) == []
    assert {path: path.read_text() for path in made} == before
    assert len(read_secret("pepper", settings.secrets.pepper, settings.state).current) == 32
    assert [path.name for path in made[0].parent.iterdir() if path.name.startswith(".")] == []


def test_one_that_others_can_read_is_closed(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    path = make_secrets(settings)[0]
    path.chmod(0o644)
    make_secrets(settings)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_one_from_the_environment_must_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(tmp_path, pepper="env:A_PEPPER")
    with pytest.raises(SettingsError, match="A_PEPPER is not set"):
        make_secrets(settings)
    monkeypatch.setenv("A_PEPPER", new_secret_text())
    assert "pepper" not in [path.name for path in make_secrets(settings)]


def test_a_damaged_one_is_named_and_kept(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    make_secrets(settings)
    damaged = settings.state / "secrets" / "pepper"
    damaged.write_text("1 short\n")
    with pytest.raises(SettingsError, match=r"secrets\.pepper") as raised:
        make_secrets(settings)
    assert "short" not in str(raised.value)
    assert damaged.read_text() == "1 short\n"


def test_a_state_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    settings = Settings(base=tmp_path, state_dir="taken")
    with pytest.raises(SettingsError, match=r"taken.*state_dir is"):
        make_secrets(settings)
