"""Pure: reads one answer of an upstream out of the bytes of its connection: head, body, and where it ends.

llhttp (httptools) does the parsing; this file says what the tap makes of it: interim responses are skipped (RFC 9110,
15.2), trailers dropped, a body without framing ends with the connection (RFC 9112, 6.3).
"""

import re
from typing import Final

import httptools

from .headers import Fields, Headers, fields_of, find_all, read_length

NO_BODY: Final = frozenset({204, 304})
HEAD_MAX_BYTES: Final = 262_144
UNFIT: Final = re.compile(rb"[^\t\x20-\x7e\x80-\xff]")
"""What a reason phrase must not hold (RFC 9112, 4), and llhttp lets pass."""


class BadAnswer(Exception):
    """The bytes are no answer that the tap can pass on. The message says why, and quotes none of them."""


class AnswerReader:
    """One answer. `feed` until `ended`; `take` gives the body bytes that have come since the last call."""

    __slots__ = (
        "_head_bytes",
        "_head_only",
        "_parser",
        "_pieces",
        "_problem",
        "ended",
        "fields",
        "headed",
        "headers",
        "length",
        "reason",
        "reusable",
        "status",
        "until_close",
    )

    def __init__(self, *, head_only: bool) -> None:
        self.status = 0
        self.reason = b""
        self.headers: Headers = []
        self.fields: Fields = {}
        self.length: int | None = None
        self.headed = False
        self.ended = False
        self.until_close = False
        self.reusable = False
        self._head_only = head_only
        self._head_bytes = 0
        self._pieces: list[bytes] = []
        self._problem = ""
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """More bytes of the connection. BadAnswer where they are no HTTP answer, unless it has already ended."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise BadAnswer("the upstream switched protocols") from None
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError:
            self.reusable = False
            if not self.ended:
                raise BadAnswer("the upstream's answer is not HTTP") from None
        if self._problem:
            raise BadAnswer(self._problem)
        if not self.headed:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MAX_BYTES:
                raise BadAnswer("the upstream's head is too large")

    def take(self) -> bytes:
        """The body bytes since the last call."""
        pieces = self._pieces
        if not pieces:
            return b""
        self._pieces = []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def eof(self) -> bool:
        """The connection has ended; returns whether that ended the answer as it should."""
        if self.headed and self.until_close:
            self.ended = True
        return self.ended

    # ── what the parser calls ──

    def on_message_begin(self) -> None:
        if self.ended:
            self.reusable = False

    def on_status(self, reason: bytes) -> None:
        if not self.headed:
            self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.headed:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.ended:
            return
        if status < 200:
            if status < 100:
                self._problem = "the upstream's answer is not HTTP"
            return
        self.headed, self.status = True, status
        if UNFIT.search(self.reason):
            self.reason = b""
        self.fields = fields_of(self.headers)
        chunked = b"transfer-encoding" in self.fields
        if chunked and [value.lower().strip() for value in find_all(self.headers, b"transfer-encoding")] != [
            b"chunked"
        ]:
            self._problem = "the upstream's answer is in a transfer coding that the gateway does not read"
        length = None if chunked else self.fields.get(b"content-length")
        self.length = read_length(length) if length is not None else None
        if self.length is None and length is not None:
            self._problem = "the upstream's answer has no readable length"
        bodiless = self._head_only or status in NO_BODY
        self.until_close = not bodiless and self.length is None and not chunked
        if self._head_only:
            self.ended = True
            self.reusable = self.length in (None, 0) and not chunked and self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        if self.ended:
            self.reusable = False
        else:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        if not self.headed:
            self.reason, self.headers = b"", []
        elif not self.ended:
            self.ended = True
            self.reusable = self._parser.should_keep_alive()
