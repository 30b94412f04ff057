"""Pure: what the meter knows of a reply while it comes: its tokens, all of them and those that reached the client.

Token counts do not depend on where frames or reads were cut. Bytes that the tap made itself are not the model's and
count for nothing.
"""

from collections.abc import Iterable
from typing import Any, Final

from penstock.schemas.events import Api
from penstock.schemas.frames import Event
from penstock.wire.chunk import ChunkReader
from penstock.wire.decode import Decoder, decoded
from penstock.wire.json_array import ArraySplitter
from penstock.wire.lenient import parsed
from penstock.wire.sse import EventSplitter
from penstock.wire.tokens import Method, RunningCount, encoding_for, known

_SSE_STARTS: Final = (b"data", b"event", b"id", b"retry", b":")
_SSE_LINES: Final = (b"\ndata:", b"\rdata:")
_BOM: Final = b"\xef\xbb\xbf"
_HEAD_BYTES: Final = 4096
"""A reply says within so many bytes of text whether it is a stream of events."""
DECODED_MAX_BYTES: Final = 268_435_456
"""Of a stream that is encoded, so much text is read: a million tokens, one an event."""
_BYTES_PER_TOKEN: Final = 4
_BLANK_BYTES: Final = 4
_SIGNS: Final[tuple[tuple[bytes, Api], ...]] = (
    (b'"chat.completion', "openai.chat"),
    (b'"text_completion"', "openai.completions"),
    (b'"response.', "openai.responses"),
    (b'"message_', "anthropic.messages"),
    (b'"content_block_', "anthropic.messages"),
    (b'"usageMetadata"', "gemini.generate"),
)


class Reply:
    """One reply, fed with its chunk events in order and closed once.

    A stream of events, or of an array's elements, is read as it comes, encoded or not; any other body at its end.
    `unread_bytes` is what could not be read as text (too large, damaged, or encoded in a way unknown here): its tokens
    are in no count. An `api` of `opaque` is guessed from the first text where `guess` allows it. `reports`: of one that
    is not read, the usage is taken.
    """

    def __init__(
        self, api: Api, model: str, body_max_bytes: int, *, guess: bool = False, reports: bool = False
    ) -> None:
        self.reader = ChunkReader(api, reports=reports)
        self.upstream_bytes = 0
        self.unread_bytes = 0
        self.withheld_bytes = 0
        self._model = model
        self._guess = guess
        self._max_bytes = body_max_bytes
        self._splitter: EventSplitter | ArraySplitter | None = None
        self._decoder: Decoder | None = None
        self._text_bytes = 0
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
    def sampled(self) -> bool:
        """A part of the text was so large that its tokens are counted from samples."""
        return self._all is not None and not self._all.exact

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
        if event.coding and self._decoder is None:
            self._decoder = Decoder(event.coding, DECODED_MAX_BYTES)
        for text in (body,) if self._decoder is None else self._decoded(self._decoder, body):
            self._read(text, withheld=event.withheld)

    def close(self, content_encoding: str) -> None:
        """The reply is over: reads what could be read only as a whole."""
        if self._splitter is not None:
            self._read_events([self._splitter.finish()], withheld=bool(self.withheld_bytes))
            return
        if self._decoder and self._decoder.stop:
            self._body, self.unread_bytes = None, self.upstream_bytes
        if not self._body:
            return
        body, self._body = b"".join(self._body), None
        whole = decoded(body, "" if self._decoder else content_encoding, self._max_bytes)
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
        if not self.tokens and not self.usage and parsed(whole) is None:
            self.unread_bytes = len(body)
        if self._before_cut is not None:
            given = self.upstream_bytes - self.withheld_bytes
            self._before_cut, self._after_cut = self.tokens * given // self.upstream_bytes, None

    def _decoded(self, decoder: Decoder, body: bytes) -> Iterable[bytes]:
        """The text of more encoded bytes. Nothing is read any more from where they are damaged, or give too much."""
        yield from decoder.feed(body)
        if decoder.stop is not None:
            self.unread_bytes += len(body)

    def _read(self, text: bytes, *, withheld: bool) -> None:
        self._text_bytes += len(text)
        if self._splitter is not None:
            self._read_events(self._splitter.feed(text), withheld=withheld)
        elif self._body is not None:
            self._keep(text, withheld=withheld)
        else:
            self.unread_bytes += len(text)

    def _keep(self, text: bytes, *, withheld: bool) -> None:
        if self._body is None or (self._undecided and not text.strip()):
            return
        self._body.append(text)
        if self._text_bytes > self._max_bytes:
            self._body, self.unread_bytes = None, self._text_bytes
        elif self._undecided:
            self._decide(withheld=withheld)

    def _decide(self, *, withheld: bool) -> None:
        """Whether the reply is a stream, once there is enough of it to see."""
        text = b"".join(self._body or ())
        if _may_become_stream(text) and len(text) < _HEAD_BYTES:
            return
        self._undecided = False
        if self._guess and self.reader.api == "opaque":
            found: Api = next((api for sign, api in _SIGNS if sign in text), "opaque")
            self.reader = ChunkReader(found)
        if is_stream(text):
            self._splitter = EventSplitter(self._max_bytes)
        elif self.reader.api == "gemini.generate" and _shown(text).startswith((b"[", b",")):
            self._splitter = ArraySplitter(self._max_bytes)
            text = text if _shown(text).startswith(b"[") else b"[" + text
        if self._splitter is not None:
            self._body = None
            self._read_events(self._splitter.feed(text), withheld=withheld)

    def _read_events(self, pieces: list[bytes], *, withheld: bool) -> None:
        feed = self.reader.feed_element if isinstance(self._splitter, ArraySplitter) else self.reader.feed_event
        for piece in pieces:
            feed(piece)
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


def rough_tokens(size_bytes: int) -> int:
    """Tokens of bytes that nobody can read: one for every four."""
    return size_bytes // _BYTES_PER_TOKEN
