"""Secrets of a deployment: named in settings as `file:PATH` or `env:NAME`, versioned, never printed.

A secret's text holds one version a line, `<number> <base64 of 32 bytes>`; the highest number is current, the others
still check what they made.
"""

import base64
import os
from dataclasses import dataclass, field
from pathlib import Path

from .errors import SettingsError


@dataclass(frozen=True, slots=True)
class Secret:
    """All versions of one secret, newest first. The repr shows none."""

    name: str
    versions: tuple[tuple[int, bytes], ...] = field(repr=False)

    @property
    def current(self) -> bytes:
        return self.versions[0][1]

    @property
    def all(self) -> list[bytes]:
        return [value for _, value in self.versions]


def read_secret(name: str, reference: str, base: Path) -> Secret:
    """The secret that `reference` names; a relative path starts at `base`. SettingsError says what is missing."""
    kind, _, where = reference.partition(":")
    if kind == "env":
        text = os.environ.get(where)
        if text is None:
            raise SettingsError(f"secrets.{name}: the variable {where} is not set")
        return parse_secret(name, text)
    if kind != "file":
        raise SettingsError(f"secrets.{name}: write file:PATH or env:NAME")
    path = base / where
    try:
        return parse_secret(name, path.read_text())
    except OSError as error:
        raise SettingsError(
            f"secrets.{name}: cannot read {path} ({error.strerror}); `penstock init` makes it"
        ) from error


def read_token(key: str, reference: str, base: Path) -> bytes:
    """The token that `reference` (`file:PATH` or `env:NAME`) names: one line of 16 or more characters without blanks,
    as Prometheus reads it too. `key` names the setting. SettingsError says what is missing, never showing the token."""
    kind, _, where = reference.partition(":")
    try:
        text = os.environ.get(where, "") if kind == "env" else (base / where).read_text()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(f"{key}: cannot read {base / where} ({reason}); `penstock init` makes it") from error
    token = text.strip()
    if len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(f"{key}: {reference} must hold one token of at least 16 characters without blanks")
    return token.encode()


def new_token_text() -> str:
    """The text of a fresh token: 256 random bits."""
    return base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode() + "\n"


def parse_secret(name: str, text: str) -> Secret:
    """The versions in `text`; SettingsError where a line is wrong (never showing it)."""
    versions: list[tuple[int, bytes]] = []
    for number, line in enumerate(text.replace(";", "\n").splitlines(), 1):
        if not line.strip():
            continue
        try:
            version, value = line.split()
            versions.append((int(version), base64.b64decode(value, validate=True)))
        except ValueError as error:
            raise SettingsError(f"secrets.{name}: line {number} is not `<version> <base64>`") from error
    if not versions or any(len(value) != 32 for _, value in versions):
        raise SettingsError(f"secrets.{name}: needs at least one version of exactly 32 bytes")
    return Secret(name, tuple(sorted(versions, reverse=True)))


def new_secret_text(version: int = 1) -> str:
    """The text of a fresh secret."""
    return f"{version} {base64.b64encode(os.urandom(32)).decode()}\n"
