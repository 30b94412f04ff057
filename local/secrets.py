"""Edge: makes the secrets that the settings name as files and that are not there yet."""

import os
from pathlib import Path

from penstock.schemas.errors import SettingsError
from penstock.schemas.secrets import new_secret_text, new_token_text, read_secret, read_token
from penstock.schemas.settings import Secrets, Settings


def make_secrets(settings: Settings) -> list[Path]:
    """Makes each missing `file:` secret (0600, its folder 0700) and returns the new files.

    A secret that is there is never changed, only read (SettingsError where it is wrong) and closed to others. Secrets
    from the environment must be set already. Safe when two processes do it at once: the first one's value stays.
    """
    try:
        settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _make_all(settings)
    except OSError as error:
        raise SettingsError(
            f"secrets: cannot write {error.filename} ({error.strerror}): state_dir is {settings.state}"
        ) from error


def _make_all(settings: Settings) -> list[Path]:
    made = []
    for name in Secrets.model_fields:
        reference = str(getattr(settings.secrets, name))
        kind, _, where = reference.partition(":")
        if kind == "file" and _make(settings.state / where, new_secret_text()):
            made.append(settings.state / where)
        read_secret(name, reference, settings.state)
    kind, _, where = settings.tap.admin_token.partition(":")
    if kind == "file" and _make(settings.state / where, new_token_text()):
        made.append(settings.state / where)
    read_token("tap.admin_token", settings.tap.admin_token, settings.state)
    return made


def _make(path: Path, text: str) -> bool:
    if path.exists():
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(fresh, path)  # fails where another process was first, unlike a rename
    except FileExistsError:
        return False
    finally:
        fresh.unlink()
    return True
