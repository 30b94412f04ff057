"""Edge: notices when one of a few files says something else, also where it was replaced by another, or a link turned
to another (as Kubernetes does). A look costs one stat per file; content is read where that differs."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

Stamp = tuple[int, int, int, int]


class Watch:
    """`changed` is true once per change of content; a file that is not there has none."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._seen: dict[Path, tuple[Stamp | None, bytes | None]] = {}
        self.follow(paths)

    def follow(self, paths: Iterable[Path]) -> None:
        """Watches these from now on; of those that it watched already, no change is lost."""
        self._seen = {path: self._seen.get(path) or (_stamp(path), _digest(path)) for path in paths}

    def changed(self) -> bool:
        """Whether any file differs from what it was at the last call, or at the start."""
        found = False
        for path, (stamp, digest) in self._seen.items():
            now = _stamp(path)
            if now == stamp:
                continue
            fresh = _digest(path)
            self._seen[path] = (now, fresh)
            found = found or fresh != digest
        return found


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _digest(path: Path) -> bytes | None:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return None
