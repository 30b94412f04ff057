"""Edge: what a sealer keeps in the state folder: its tree as of the last checkpoint, the public key, and a lock."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.schemas.errors import UsageError
from penstock.schemas.settings import Settings

from .merkle import CompactRange
from .note import Verifier


class SealerRuns(UsageError):
    """Another process of this state folder seals."""


def checkpoints_path(settings: Settings) -> Path:
    """The file of checkpoints (`trail.checkpoints_file`, relative to the state folder)."""
    return settings.state / settings.trail.checkpoints_file


def public_key_path(settings: Settings) -> Path:
    """Where the sealer writes its public keys, one a line."""
    return settings.state / "trail.pub"


def read_tree(settings: Settings) -> CompactRange:
    """The tree that was kept; an empty one where none was, or where the file is damaged. Whoever uses it holds it
    against a signed root first."""
    try:
        content = json.loads(_tree_path(settings).read_text())
        return CompactRange(int(content["size"]), [bytes.fromhex(found) for found in content["hashes"]])
    except (OSError, ValueError, KeyError, TypeError):
        return CompactRange()


def keep_tree(settings: Settings, tree: CompactRange) -> None:
    """Keeps `tree` for the next start. It spares reading all leaves again, and nothing is lost with it."""
    _replace(_tree_path(settings), json.dumps({"size": tree.size, "hashes": [found.hex() for found in tree.hashes]}))


def keep_public_keys(settings: Settings, verifiers: list[Verifier]) -> None:
    """Writes the public keys where they are not yet those in the file."""
    path, text = public_key_path(settings), "".join(f"{verifier}\n" for verifier in verifiers)
    if not path.exists() or path.read_text() != text:
        _replace(path, text)


@contextmanager
def only_sealer(settings: Settings) -> Iterator[None]:
    """Held by one process of this state folder at a time, until it ends, however it ends. SealerRuns where another
    has it."""
    settings.state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(settings.state / "seal.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SealerRuns(f"a sealer runs already in {settings.state}") from error
        yield
    finally:
        os.close(descriptor)


def _tree_path(settings: Settings) -> Path:
    return settings.state / "seal-tree.json"


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.replace(path)
