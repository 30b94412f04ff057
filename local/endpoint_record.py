"""Edge: the local endpoint's own record: which bytes it sent when, and whether the client stayed to the end.

One JSON object a line, appended: `asked` when a request is whole, `sent` when its answer has ended. The demo and the
tests check what Penstock claims against this file, which no part of Penstock writes or reads.
"""

import base64
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

End = Literal["whole", "cut", "hung_up"]


@dataclass(slots=True)
class Sent:
    """One answer. `body` is what was sent of it, after transfer decoding; `writes` are (µs since its start, bytes).

    `output_tokens` counts the `texts` that were sent, by the model's own tokenizer or rule; `usage` says whether such
    figures went with them. `end`: `whole`, `cut` (by directive), or `hung_up` (the client left first).
    """

    request_id: str
    method: str
    target: str
    dialect: str
    model: str
    stream: bool
    request_bytes: int
    request_sha256: str
    credential: bool
    started_at_us: int
    status: int = 0
    body: bytearray = field(default_factory=bytearray, repr=False)
    texts: list[str] = field(default_factory=list, repr=False)
    writes: list[tuple[int, int]] = field(default_factory=list, repr=False)
    end: End = "whole"
    input_tokens: int = 0
    output_tokens: int = 0
    usage: bool = False
    ended_at_us: int = 0


class RecordFile:
    """Appends to the record; one whole line per write, so a reader never meets half of one."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def asked(self, sent: Sent) -> None:
        """A request is whole, and its answer begins."""
        known = ("request_id", "method", "target", "model", "request_sha256", "request_bytes", "started_at_us")
        self._append({"line": "asked", **{name: getattr(sent, name) for name in known}})

    def sent(self, sent: Sent) -> None:
        """The answer has ended, in whichever way."""
        content = {**asdict(sent), "body": base64.b64encode(sent.body).decode()}
        self._append({"line": "sent", **content})

    def close(self) -> None:
        self._file.close()

    def _append(self, content: dict[str, Any]) -> None:
        self._file.write(orjson.dumps(content) + b"\n")


def read_sent(path: Path) -> dict[str, Sent]:
    """All ended answers of a record, by request id."""
    found: dict[str, Sent] = {}
    for line in path.read_bytes().splitlines():
        content = orjson.loads(line)
        if content.pop("line") == "sent":
            content["body"] = bytearray(base64.b64decode(content["body"]))
            content["writes"] = [(at_us, size) for at_us, size in content["writes"]]
            found[content["request_id"]] = Sent(**content)
    return found
