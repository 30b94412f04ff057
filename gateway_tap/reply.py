"""Pure: what the tap must know of a reply for its completion: usage objects, finish reason, model, response id.

An SSE stream is parsed only where it says one of these: the first events, and those whose bytes hold a usage object
or a reason. A JSON answer is parsed once, at its end. A content-encoded body (RFC 9110, 8.4.1) is decoded on the side,
within bounds; what cannot be decoded is recorded all the same and says nothing here.
"""

import zlib
from typing import Any, Final

from penstock.schemas.events import Api
from penstock.wire.sse import EventSplitter
from penstock.wire.telling import TellingReader

BODY_MAX_BYTES: Final = 8_388_608
FIRST_EVENTS: Final = 2
_WINDOW: Final = {b"gzip": zlib.MAX_WBITS | 16, b"x-gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}


class ReplyReader:
    """Reads one reply on the side. Never raises, and never holds more than `BODY_MAX_BYTES`."""

    __slots__ = ("_body", "_events", "_inflate", "_overflow", "_reader", "_size", "_splitter", "_sse")

    def __init__(self, api: Api, sse: bool, encoding: bytes) -> None:
        self._reader = TellingReader(api)
        self._sse = sse
        self._events = 0
        self._body: list[bytes] = []
        self._size = 0
        self._overflow = False
        self._splitter: EventSplitter | None = None
        self._inflate: Any = None
        name = encoding.strip().lower()
        if name in _WINDOW:
            self._inflate = zlib.decompressobj(_WINDOW[name])
            self._splitter = EventSplitter() if sse else None
        elif name not in (b"", b"identity"):
            self._overflow = True

    def events(self, events: list[bytes]) -> None:
        """Whole events of a stream that is not encoded."""
        for event in events:
            if self._events < FIRST_EVENTS or _telling(event):
                self._reader.feed_event(event)
            self._events += 1

    def read(self, data: bytes) -> None:
        """More of any other body."""
        if self._overflow:
            return
        if self._inflate is not None:
            data = self._decoded(data)
        self._size += len(data)
        if self._splitter is not None:
            self.events(self._splitter.feed(data))
        elif self._size > BODY_MAX_BYTES:
            self._give_up()
        else:
            self._body.append(data)

    def figures(self) -> dict[str, Any]:
        """Members of `Completion`: usage, finish_reason, model, response_id."""
        if self._body and not self._overflow:
            self._reader.feed_body(b"".join(self._body))
            self._body = []
        reader = self._reader
        return {
            "usage": reader.usage,
            "finish_reason": reader.finish_reason or "",
            "model": reader.model or "",
            "response_id": reader.response_id or "",
        }

    def _decoded(self, data: bytes) -> bytes:
        """The decoded bytes; a body that inflates beyond the bound, or is damaged, is given up."""
        try:
            decoded: bytes = self._inflate.decompress(data, BODY_MAX_BYTES)
        except zlib.error:
            self._give_up()
            return b""
        if self._inflate.unconsumed_tail:
            self._give_up()
        return decoded

    def _give_up(self) -> None:
        self._overflow = True
        self._body = []


def _telling(event: bytes) -> bool:
    """Whether an event may hold a usage object, a finish or stop reason, or an error. `null` members do not count."""
    if b'"usage"' in event and b'"usage":null' not in event:
        return True
    if b'_reason"' in event and b'_reason":null' not in event:
        return True
    return b'"error"' in event
