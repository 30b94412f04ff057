"""Edge: reads recorded exchanges with real providers (`<shared>/data/cassettes/*.jsonl`, described in its README)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from penstock.schemas.errors import UsageError

from .replay_cuts import without_usage

_TRANSPORT: Final = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class Cassette:
    """One recorded exchange. `usage` is what the provider reported, or None; `headers` have no transport headers;
    `verbatim` False: the recorder wrote the body anew, so a count of it can be off by a token or two."""

    id: str
    api: str
    provider: str
    model: str
    path: str
    status: int
    stream: bool
    verbatim: bool
    stream_format: str | None
    tags: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    request: dict[str, Any] | None = field(repr=False)
    body: bytes = field(repr=False)
    usage: dict[str, Any] | None = field(repr=False)

    def body_without_usage(self) -> bytes:
        """The body as if the provider reported no usage."""
        return without_usage(self.body, self.stream)


def shared_folder() -> Path:
    """The folder that `PENSTOCK_SHARED` names; ../shared where it names none."""
    return Path(os.environ.get("PENSTOCK_SHARED", "../shared")).resolve()


def read_cassettes(shared: Path) -> dict[str, Cassette]:
    """All recorded exchanges below `shared`, by id. UsageError where there are none."""
    found: dict[str, Cassette] = {}
    for path in sorted((shared / "data" / "cassettes").glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            row = orjson.loads(line)
            found[row["id"]] = _cassette(row)
    if not found:
        raise UsageError(f"no recorded exchanges in {shared / 'data' / 'cassettes'}: set PENSTOCK_SHARED")
    return found


def _cassette(row: Mapping[str, Any]) -> Cassette:
    headers = {name.lower(): str(value) for name, value in (row["response_headers"] or {}).items()}
    headers.setdefault("content-type", "text/event-stream" if row["stream_format"] == "sse" else "application/json")
    return Cassette(
        id=row["id"],
        api=row["api"],
        provider=row["provider"],
        model=row["model"] or "",
        path=row["path"],
        status=row["status"],
        stream=bool(row["stream"]),
        verbatim=bool(row["verbatim"]),
        stream_format=row["stream_format"],
        tags=tuple(row["tags"]),
        headers=tuple((name, value) for name, value in headers.items() if name not in _TRANSPORT),
        request=row["request_json"],
        body=row["response_body"].encode(),
        usage=row["usage"],
    )
