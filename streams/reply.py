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
from penstock.wire.tokens import Method, RunningCount, encoding_for, known

_SSE_STARTS: Final = (b"data", b"event", b"id", b"retry", b":")
_SSE_LINES: Final = (b"\ndata:", b"\rdata:")
_BOM: Final = b"\xef\xbb\xbf"
_GZIP: Final = b"\x1f\x8b"
_HEAD_BYTES: Final = 4096
"""A reply, compressed or not, says within so many bytes whether it is a stream of events."""
_INFLATES: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_BYTES_PER_TOKEN: Final = 4
_BLANK_BYTES: Final = 4
_SIGNS: Final[tuple[tuple[bytes, Api], ...]] = (
    (b'"chat.completion', "openai.chat"),
    (b'"text_completion"', "openai.completions"),
    (b'"message_', "anthropic.messages"),
    (b'"content_block_', "anthropic.messages"),
)


class Reply:
    """One reply, fed with its chunk events in order and closed once.

    A stream of events is read as it comes, gzip-encoded or not; any other body at its end. `unread_bytes` is what could
    not be read as text (too large, damaged, or encoded in a way unknown here): its tokens are in no count. An `api` of
    `opaque` is guessed from the first text where `guess` allows it.
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
        self._inflater: Any = None
        self._readable = True
        self._body: list[bytes] | None = []
        self._undecided = True
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
        """How this reply's text is counted: by the model asked for, or by the one that answers where that name says
        nothing."""
        if self._all:
            return self._all.method
        return encoding_for(self._model if known(self._model) else self.reader.model or self._model, self.reader.api)

    @property
    def usage(self) -> list[dict[str, Any]]:
        """The provider's usage objects so far."""
        return self.reader.usage

    def feed(self, event: Event) -> None:
        """One chunk event."""
        if event.origin != "upstream":
            return
        body = event.body
        self.upstream_bytes += len(body)
        if event.withheld:
            self.withheld_bytes += len(body)
            if self._before_cut is None:
                self._before_cut = self.tokens
        if self._splitter is not None:
            self._read_events(self._splitter.feed(self._inflated(body)), withheld=event.withheld)
        elif self._body is not None:
            self._keep(body, withheld=event.withheld)
        else:
            self.unread_bytes += len(body)

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
        if is_stream(whole):
            splitter = EventSplitter(self._max_bytes)
            for piece in [*splitter.feed(whole), splitter.finish()]:
                self.reader.feed_event(piece)
        else:
            self.reader.feed_body(whole)
        self._count(withheld=False)
        if self._before_cut is not None:
            given = self.upstream_bytes - self.withheld_bytes
            self._before_cut, self._after_cut = self.tokens * given // self.upstream_bytes, None

    def _keep(self, body: bytes, *, withheld: bool) -> None:
        if self._body is None or (self._undecided and not body.strip()):
            return
        self._body.append(body)
        if self.upstream_bytes > self._max_bytes:
            self._body, self.unread_bytes = None, self.upstream_bytes
        elif self._undecided:
            self._decide(withheld=withheld)

    def _decide(self, *, withheld: bool) -> None:
        """Whether the reply is a stream, once there is enough of it to see."""
        head = b"".join(self._body or ())
        text, inflater = head, None
        if head.startswith(_GZIP):
            inflater = zlib.decompressobj(_INFLATES["gzip"])
            try:
                text = inflater.decompress(head, self._max_bytes)
            except zlib.error:
                text = head
        if (_GZIP.startswith(head) or _may_become_stream(text)) and len(head) < _HEAD_BYTES:
            return
        self._undecided = False
        if self._guess and self.reader.api == "opaque":
            found: Api = next((api for sign, api in _SIGNS if sign in text), "opaque")
            self.reader = ChunkReader(found)
        if is_stream(text):
            self._splitter, self._inflater, self._body = EventSplitter(self._max_bytes), inflater, None
            self._readable = inflater is None or not inflater.unconsumed_tail
            self._read_events(self._splitter.feed(text), withheld=withheld)

    def _inflated(self, body: bytes) -> bytes:
        """`body` of a stream without its content coding. Nothing is read any more from where it is damaged, or inflates
        beyond the bound."""
        if self._inflater is None:
            return body
        text = b""
        if self._readable:
            try:
                text = self._inflater.decompress(body, self._max_bytes)
                self._readable = not self._inflater.unconsumed_tail
            except zlib.error:
                self._readable = False
        if not self._readable:
            self.unread_bytes += len(body)
        return text

    def _read_events(self, pieces: list[bytes], *, withheld: bool) -> None:
        for piece in pieces:
            self.reader.feed_event(piece)
            if len(piece) + _BLANK_BYTES > self._max_bytes:
                self.unread_bytes += len(piece)
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


def is_stream(text: bytes) -> bool:
    """Whether a reply that begins with `text` is a stream of server-sent events, whatever stands before its first."""
    return _shown(text).startswith(_SSE_STARTS) or any(line in text for line in _SSE_LINES)


def _may_become_stream(text: bytes) -> bool:
    """Whether `text` is too short to tell."""
    shown = _shown(text)
    return any(start.startswith(shown) for start in _SSE_STARTS)


def _shown(text: bytes) -> bytes:
    return text.removeprefix(_BOM).lstrip()


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
