"""Pure: what the meter knows of a reply while it comes: its tokens, all of them and those that reached the client.

Token counts do not depend on where frames or reads were cut. Bytes that the tap made itself are not the model's and
count for nothing.
"""

import zlib
from typing import Any, Final

from penstock.schemas.events import Api
from penstock.schemas.frames import Event
from penstock.wire.chunk import ChunkReader
from penstock.wire.sse import EventSplitter
from penstock.wire.tokens import Method, RunningCount, encoding_for

_SSE_STARTS: Final = (b"data", b"event", b"id", b"retry", b":")
_INFLATES: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_BYTES_PER_TOKEN: Final = 4
_SIGNS: Final[tuple[tuple[bytes, Api], ...]] = (
    (b'"chat.completion', "openai.chat"),
    (b'"text_completion"', "openai.completions"),
    (b'"message_', "anthropic.messages"),
    (b'"content_block_', "anthropic.messages"),
)


class Reply:
    """One reply, fed with its chunk events in order and closed once.

    `unread_bytes` is what could not be read as text (too large, or compressed in a way unknown here): its tokens are
    in no count. An `api` of `opaque` is guessed from the first chunk where `guess` allows it.
    """

    def __init__(self, api: Api, model: str, body_max_bytes: int, *, guess: bool = False) -> None:
        self.reader = ChunkReader(api)
        self.upstream_bytes = 0
        self.unread_bytes = 0
        self.withheld_bytes = 0
        self._model = model
        self._guess = guess
        self._max_bytes = body_max_bytes
        self._splitter: EventSplitter | None = None
        self._body: list[bytes] | None = None
        self._all: RunningCount | None = None
        self._before_cut: int | None = None
        self._after_cut: RunningCount | None = None

    @property
    def tokens(self) -> int:
        """Tokens of everything that the upstream gave so far."""
        return self._all.tokens if self._all else 0

    @property
    def delivered_tokens(self) -> int:
        """Tokens of what the client was given. Text that follows withheld text is counted by itself."""
        if self._before_cut is None:
            return self.tokens
        return self._before_cut + (self._after_cut.tokens if self._after_cut else 0)

    @property
    def method(self) -> Method:
        """How this reply's text is counted."""
        return self._all.method if self._all else encoding_for(self._model or self.reader.model, self.reader.api)

    @property
    def usage(self) -> list[dict[str, Any]]:
        """The provider's usage objects so far."""
        return self.reader.usage

    def feed(self, event: Event) -> None:
        """One chunk event."""
        if event.origin != "upstream":
            return
        body = event.body
        if not self.upstream_bytes:
            self._begin(body)
        self.upstream_bytes += len(body)
        if event.withheld:
            self.withheld_bytes += len(body)
            if self._before_cut is None:
                self._before_cut = self.tokens
        if self._splitter is not None:
            self._read_events(self._splitter.feed(body), withheld=event.withheld)
        elif self._body is not None:
            self._keep(body)

    def close(self, content_encoding: str) -> None:
        """The reply is over: reads what could be read only as a whole."""
        if self._splitter is not None:
            self._read_events([self._splitter.finish()], withheld=bool(self.withheld_bytes))
            return
        if not self._body:
            return
        body, self._body = b"".join(self._body), None
        whole = inflated(body, content_encoding, self._max_bytes)
        if whole is None:
            self.unread_bytes = len(body)
            return
        if whole.lstrip().startswith(_SSE_STARTS):
            splitter = EventSplitter()
            for piece in [*splitter.feed(whole), splitter.finish()]:
                self.reader.feed_event(piece)
        else:
            self.reader.feed_body(whole)
        self._count(withheld=False)
        if self._before_cut is not None:
            given = self.upstream_bytes - self.withheld_bytes
            self._before_cut, self._after_cut = self.tokens * given // self.upstream_bytes, None

    def _begin(self, first: bytes) -> None:
        if self._guess and self.reader.api == "opaque":
            found: Api = next((api for sign, api in _SIGNS if sign in first), "opaque")
            self.reader = ChunkReader(found)
        if first.lstrip().startswith(_SSE_STARTS):
            self._splitter = EventSplitter()
        else:
            self._body = []

    def _keep(self, body: bytes) -> None:
        if self.upstream_bytes > self._max_bytes:
            self._body, self.unread_bytes = None, self.upstream_bytes
        elif self._body is not None:
            self._body.append(body)

    def _read_events(self, pieces: list[bytes], *, withheld: bool) -> None:
        for piece in pieces:
            self.reader.feed_event(piece)
        self._count(withheld=withheld)

    def _count(self, *, withheld: bool) -> None:
        for channel, text in self.reader.new_text():
            if self._all is None:
                self._all = RunningCount(self.method)
            self._all.add(channel, text)
            if self._before_cut is not None and not withheld:
                if self._after_cut is None:
                    self._after_cut = RunningCount(self.method)
                self._after_cut.add(channel, text)


def inflated(body: bytes, content_encoding: str, max_bytes: int) -> bytes | None:
    """`body` without its content coding (RFC 9110, 8.4), as far as it goes; None for a coding unknown here, for damaged
    bytes, and for more than `max_bytes`."""
    coding = content_encoding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in _INFLATES:
        return None
    worker = zlib.decompressobj(wbits=_INFLATES[coding])
    try:
        whole = worker.decompress(body, max_bytes)
    except zlib.error:
        return None
    return None if worker.unconsumed_tail else whole


def rough_tokens(size_bytes: int) -> int:
    """Tokens of bytes that nobody can read: one for every four."""
    return size_bytes // _BYTES_PER_TOKEN
