"""Pure: what the tap must know of a reply for its completion: usage objects, finish reason, model, response id.

An SSE stream is parsed only where it says one of these: the first events, and those whose bytes hold a usage object
or a reason. A JSON answer is parsed once, at its end. A content-encoded body (RFC 9110, 8.4.1) is decoded on the side,
within bounds; what cannot be decoded is recorded all the same and says nothing here.
"""

from typing import Any, Final

from penstock.schemas.events import Api
from penstock.wire.decode import Decoder, codings
from penstock.wire.json_array import ArraySplitter
from penstock.wire.sse import EventSplitter
from penstock.wire.telling import TellingReader

BODY_MAX_BYTES: Final = 8_388_608
STREAM_MAX_BYTES: Final = 268_435_456
FIRST_EVENTS: Final = 2
RUNNING: Final = b'"usageMetadata"'
"""Google's figures come with every event, and the last ones stand alone: they are read once, at the end."""


class ReplyReader:
    """Reads one reply on the side. Never raises, and never holds more than `BODY_MAX_BYTES`.

    `event_count` counts the events of an encoded stream; it is 0 for any other body, and where not all could be read.
    """

    __slots__ = ("_body", "_decoder", "_events", "_feed", "_late", "_overflow", "_reader", "_size", "_splitter")

    def __init__(
        self, api: Api, sse: bool, content_encoding: str, *, array: bool = False, reports: bool = False
    ) -> None:
        self._reader = reader = TellingReader(api, reports=reports)
        self._feed = reader.feed_element if array else reader.feed_event
        self._events = 0
        self._late = b""
        self._body: list[bytes] = []
        self._size = 0
        self._overflow = False
        self._splitter: EventSplitter | ArraySplitter | None = None
        self._decoder: Decoder | None = None
        if codings(content_encoding):
            self._decoder = Decoder(content_encoding, STREAM_MAX_BYTES if sse or array else BODY_MAX_BYTES)
            if sse or array:
                self._splitter = EventSplitter() if sse else ArraySplitter()

    @property
    def event_count(self) -> int:
        return 0 if self._splitter is None or self._overflow else self._events

    def events(self, events: list[bytes]) -> None:
        """Whole events, or elements, of a stream that is not encoded."""
        for event in events:
            if self._events < FIRST_EVENTS or _telling(event):
                self._late = b""
                self._feed(event)
            elif RUNNING in event:
                self._late = event
            self._events += 1

    def read(self, data: bytes) -> None:
        """More of any other body."""
        if self._overflow:
            return
        decoder = self._decoder
        if decoder is None:
            self._text(data)
            return
        for text in decoder.feed(data):
            self._text(text)
        if decoder.stop is not None:
            self._give_up()

    @property
    def endable(self) -> bool:
        """The reply is an encoded stream, and `ending` may end it at some place."""
        return self._splitter is not None and self._decoder is not None and self._decoder.endable

    def ending(self, text: bytes) -> bytes:
        """Bytes that end an encoded stream here, as if `text` had come last; empty within an event, and where the
        coding does not allow it."""
        if self._decoder is None or self._splitter is None or not self._splitter.at_border:
            return b""
        closed = self._splitter.closing(text) if isinstance(self._splitter, ArraySplitter) else text
        return self._decoder.ending(closed)

    @property
    def failed(self) -> bool:
        """The reply, which is over, says itself that it failed, whatever its status was."""
        self._read_rest()
        return self._reader.has_error

    def figures(self) -> dict[str, Any]:
        """Members of `Completion`: usage, finish_reason, model, response_id. The reply is over."""
        self._read_rest()
        reader = self._reader
        return {
            "usage": reader.usage,
            "finish_reason": reader.finish_reason or "",
            "model": reader.model or "",
            "response_id": reader.response_id or "",
        }

    def _read_rest(self) -> None:
        if self._body and not self._overflow:
            self._reader.feed_body(b"".join(self._body))
            self._body = []
        if self._splitter is not None and (rest := self._splitter.finish()):
            self.events([rest])
        if self._late:
            self._feed(self._late)
            self._late = b""

    def _text(self, text: bytes) -> None:
        self._size += len(text)
        if self._splitter is not None:
            self.events(self._splitter.feed(text))
        elif self._size > BODY_MAX_BYTES:
            self._give_up()
        else:
            self._body.append(text)

    def _give_up(self) -> None:
        self._overflow = True
        self._body = []


def _telling(event: bytes) -> bool:
    """Whether an event may hold a usage object, a finish or stop reason, or an error. `null` members do not count."""
    if b'"usage"' in event and b'"usage":null' not in event:
        return True
    if b'_reason"' in event and b'_reason":null' not in event:
        return True
    if b'Reason"' in event:
        return True
    return b'"error"' in event
