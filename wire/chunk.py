"""What a reply says, read event by event or as a whole: texts, usage objects, finish reason, model, response id.

One file knows each protocol: `openai_reply`, `responses_reply`, `anthropic_reply`, `gemini_reply`.
"""

from collections.abc import Callable
from typing import Final

from penstock.schemas.events import Api

from .anthropic_reply import read_anthropic
from .gemini_reply import read_gemini
from .json_array import element
from .lenient import parsed
from .openai_reply import read_openai, read_usage
from .responses_reply import read_responses
from .said import Members, Said
from .sse import event_data

READERS: Final[dict[Api, Callable[[Said, Members], None]]] = {
    "openai.chat": read_openai,
    "openai.completions": read_openai,
    "openai.responses": read_responses,
    "embeddings": read_openai,
    "anthropic.messages": read_anthropic,
    "gemini.generate": read_gemini,
    "gemini.embed": read_gemini,
}
"""Who reads one event's data, or a whole answer, of each api. An api that is not here says nothing, or its usage alone
(`request.RequestInfo.reports`)."""


class ChunkReader(Said):
    """Collects what one reply says. Never raises, whatever the bytes are. `reports`: of an api that is not read, a
    usage object is taken all the same."""

    __slots__ = ("_read", "api")

    def __init__(self, api: Api, *, reports: bool = False) -> None:
        super().__init__()
        self.api = api
        self._read = READERS.get(api, read_usage if reports else None)

    def feed_event(self, event: bytes) -> None:
        """One SSE event."""
        if self._read is None:
            return
        data = event_data(event)
        if data and data != b"[DONE]":
            self.feed_body(data)

    def feed_element(self, piece: bytes) -> None:
        """One piece of a streamed array (`json_array.ArraySplitter`)."""
        self.feed_body(element(piece))

    def feed_body(self, whole: bytes) -> None:
        """A whole JSON answer: an object, or Google's array of them."""
        if self._read is None:
            return
        content = parsed(whole)
        for one in content if isinstance(content, list) else (content,):
            if isinstance(one, dict):
                self._read(self, one)
