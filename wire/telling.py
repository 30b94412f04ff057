"""The little that a completion says of a reply: usage objects, finish reason, model, response id. Texts are skipped.

A typed decoder reads these members alone, at a tenth of the cost of the whole; what it cannot read, and protocols that
it does not know, go to `chunk.ChunkReader`, which says the same of every reply (tested).
"""

from typing import Any, Final

import msgspec

from penstock.schemas.events import Api

from .chunk import ChunkReader
from .json_array import element
from .said import Said
from .sse import event_data


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _OpenAI(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    x_groq: msgspec.Raw | None = None
    error: msgspec.Raw | None = None
    object: str | None = None


_READ: Final = msgspec.json.Decoder(_OpenAI).decode
_LEAN: Final = frozenset[Api](("openai.chat", "openai.completions", "embeddings"))


class TellingReader(Said):
    """Collects what one reply says of itself, but its texts. Never raises."""

    __slots__ = ("_api", "_lean", "_reports", "_whole")

    def __init__(self, api: Api, *, reports: bool = False) -> None:
        super().__init__()
        self._lean = api in _LEAN or (api == "opaque" and reports)
        self._api, self._reports = api, reports
        self._whole: ChunkReader | None = None

    def feed_event(self, event: bytes) -> None:
        """One SSE event."""
        data = event_data(event)
        if data and data != b"[DONE]":
            self.feed_body(data)

    def feed_element(self, piece: bytes) -> None:
        """One piece of a streamed array (`json_array.ArraySplitter`)."""
        self.feed_body(element(piece))

    def feed_body(self, whole: bytes) -> None:
        """A whole JSON answer, or the data of one event."""
        if self._lean:
            try:
                said = _READ(whole)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass
            else:
                if said.x_groq is None and said.error is None and said.object != "error":
                    self._take(said)
                    return
        self._take_whole(whole)

    def _take(self, said: _OpenAI) -> None:
        self.about(said.id, said.model)
        for choice in said.choices or ():
            self.finish(choice.finish_reason)
        self.use(said.usage)

    def _take_whole(self, whole: bytes) -> None:
        reader = self._whole
        if reader is None:  # most replies never need one
            reader = self._whole = ChunkReader(self._api, reports=self._reports)
        reader.feed_body(whole)
        reader.new_text()
        self.about(reader.response_id, reader.model)
        self.finish(reader.finish_reason)
        reader.finish_reason = ""
        for usage in reader.usage:
            self.use(usage)
        reader.usage = []
        self.error(reader.has_error)
