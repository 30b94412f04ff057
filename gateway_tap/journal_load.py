"""Edge: what lies in a journal's folder: segments of this tap, leftovers, foreign files, and other journals."""

import contextlib
import fcntl
from pathlib import Path

from penstock.schemas.errors import JournalError

from .journal_record import HEAD_BYTES, ForeignSegment, SegmentHead, read_head


def segments_in(path: Path, tap: str) -> list[tuple[SegmentHead, Path]]:
    """The segments in `path`, in order. Files that were made ahead and never written to are removed. JournalError names
    one that cannot be read, is no segment of this version, or is another tap's."""
    for spare in path.glob("*.spare"):
        spare.unlink()
    found: list[tuple[SegmentHead, Path]] = []
    for file in sorted(path.glob("*.seg"), key=lambda file: (len(file.name), file.name)):
        head = _head(file, tap)
        if head is None:
            file.unlink()
        else:
            found.append((head, file))
    return found


def _head(path: Path, tap: str) -> SegmentHead | None:
    try:
        with path.open("rb") as file:
            head = read_head(file.read(HEAD_BYTES))
    except OSError as error:
        raise unreadable(path, error) from error
    except ForeignSegment as error:
        raise JournalError(
            f"{path}: {error}: start the version that wrote it once more, so that it publishes what is there, or"
            " move the folder away to begin without it"
        ) from error
    if head is not None and head.tap != tap:
        raise JournalError(
            f"{path}: it is the journal of tap {head.tap}, and this one is {tap}: set `tap.id` back until it"
            " is published, or move the folder away"
        )
    return head


def left_behind(path: Path) -> list[Path]:
    """Journals beside `path` that hold something and that no tap holds: of a tap that has another id now, or of a
    worker process too many."""
    found = []
    for folder in sorted(path.parent.iterdir()):
        if folder == path or not any(folder.glob("*.seg")):
            continue
        with contextlib.suppress(OSError), (folder / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.append(folder)
    return found


def unreadable(path: Path, error: OSError) -> JournalError:
    """The error for a file of the journal that cannot be read."""
    return JournalError(
        f"{path}: cannot read the journal ({error.strerror}): repair the file system, or move the folder away to begin "
        "without what is in it"
    )
