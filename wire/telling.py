"""The little that a completion says of a reply: usage objects, finish reason, model, response id. Texts are skipped.

A typed decoder reads these members alone, at a tenth of the cost of the whole; what it cannot read, and protocols that
it does not know, go to `chunk.ChunkReader`, which says the same of every reply (tested).
"""

from typing import Any, Final

import msgspec

from penstock.schemas.events import Api

from .chunk import USAGE_MAX, ChunkReader
from .lenient import kept, label
from .sse import event_data


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _OpenAI(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    x_groq: msgspec.Raw | None = None


_READ: Final = msgspec.json.Decoder(_OpenAI).decode
_LEAN: Final = frozenset[Api](("openai.chat", "openai.completions", "embeddings"))


class TellingReader:
    """Collects what one reply says of itself; never raises. `usage` in order of arrival, for `usage.merge_usage`."""

    __slots__ = ("_lean", "_whole", "finish_reason", "model", "response_id", "usage")

    def __init__(self, api: Api) -> None:
        self._lean = api in _LEAN
        self._whole = ChunkReader(api)
        self.usage: list[dict[str, Any]] = []
        self.finish_reason = ""
        self.model = ""
        self.response_id = ""

    def feed_event(self, event: bytes) -> None:
        """One SSE event."""
        data = event_data(event)
        if data and data != b"[DONE]":
            self.feed_body(data)

    def feed_body(self, whole: bytes) -> None:
        """A whole JSON answer, or the data of one event."""
        if self._lean:
            try:
                said = _READ(whole)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass
            else:
                if said.x_groq is None:
                    self._take(said)
                    return
        self._take_whole(whole)

    def _take(self, said: _OpenAI) -> None:
        if not self.response_id:
            self.response_id = label(said.id)
        if not self.model:
            self.model = label(said.model)
        for choice in said.choices or ():
            self.finish_reason = label(choice.finish_reason) or self.finish_reason
        if said.usage:
            self._use(kept(said.usage))

    def _take_whole(self, whole: bytes) -> None:
        reader = self._whole
        reader.feed_body(whole)
        reader.new_text()
        self.response_id = self.response_id or reader.response_id
        self.model = self.model or reader.model
        self.finish_reason, reader.finish_reason = reader.finish_reason or self.finish_reason, ""
        for usage in reader.usage:
            self._use(usage)
        reader.usage = []

    def _use(self, usage: dict[str, Any]) -> None:
        if usage and (not self.usage or self.usage[-1] != usage):
            if len(self.usage) >= USAGE_MAX:
                self.usage.pop()
            self.usage.append(usage)
