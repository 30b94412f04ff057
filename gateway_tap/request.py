"""Pure: one request as a client sent it, and whether the tap can serve it at all.

Checks beyond llhttp's (which refuses conflicting lengths, bare line ends and bad names): exactly one Host (RFC 9112,
3.2), no transfer coding but `chunked` and none in HTTP/1.0 (6.1), a length that is a number to everybody (6.3),
expectations (RFC 9110, 10.1.1), tunnels, protocol changes.
"""

from dataclasses import dataclass, field
from typing import Final

from .headers import Fields, Headers, fields_of, find_all, read_length

UNCARRIED: Final = frozenset({"CONNECT", "TRACE"})
"""A tunnel would leave the tap; a trace would show what it adds (RFC 9110, 9.3.6 and 9.3.8)."""


@dataclass(slots=True)
class Problem:
    """Why a request is not served: the status to answer, and a sentence. The connection ends after the answer."""

    status: int
    message: str
    code: str = "bad_request"
    retry_after_s: int | None = None


@dataclass(slots=True, eq=False)
class Request:
    """What has been read of a request so far."""

    started_at_us: int
    started_s: float
    target: bytes = field(default=b"", repr=False)
    method: str = ""
    version: str = "1.1"
    headers: Headers = field(default_factory=list, repr=False)
    fields: Fields = field(default_factory=dict, repr=False)
    keep_alive: bool = True
    headed: bool = False
    complete: bool = False
    content_length: int | None = None
    chunked: bool = False
    problem: Problem | None = None
    pieces: list[bytes] = field(default_factory=list, repr=False)
    body_bytes: int = 0
    continued: bool = False

    @property
    def bodiless(self) -> bool:
        return not self.chunked and not self.content_length

    @property
    def expects(self) -> bool:
        """The client waits for `100 Continue` before it sends its body."""
        return self.version == "1.1" and not self.bodiless and b"expect" in self.fields

    def again(self) -> bytes:
        """The head once more, without its offer to change the protocol, for a parser that is to read the body."""
        kept = (b"%b: %b\r\n" % pair for pair in self.headers if pair[0].lower() not in (b"upgrade", b"connection"))
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (self.method.encode(), self.target, b"".join(kept))

    def head(self, method: str, version: str, keep_alive: bool, upgrade: bool) -> None:
        """The head is complete: what the parser says of it, and what is wrong with it."""
        self.headed = True
        self.method, self.version, self.keep_alive = method, version, keep_alive and version == "1.1"
        self.fields = fields = fields_of(self.headers)
        self.chunked = b"transfer-encoding" in fields
        length = fields.get(b"content-length")
        if length is not None:
            self.content_length = read_length(length)
        self.problem = self._problem(fields, upgrade)

    def _problem(self, fields: Fields, upgrade: bool) -> Problem | None:
        if self.version not in ("1.0", "1.1"):
            return Problem(505, "this gateway speaks HTTP/1.1", "http_version_not_supported")
        repeated = len(fields) != len(self.headers)
        if (repeated and len(find_all(self.headers, b"host")) > 1) or (b"host" not in fields and self.version == "1.1"):
            return Problem(400, "a request needs exactly one Host header")
        if self.chunked and not self._plainly_chunked():
            return Problem(400, "the only transfer coding that a request may use is chunked, over HTTP/1.1")
        if self.content_length is None and b"content-length" in fields:
            return Problem(400, "the length of a request is a plain number")
        if self.method in UNCARRIED:
            return Problem(501, "this gateway carries no tunnels and no traces", "not_implemented")
        if fields.get(b"expect", b"100-continue").strip().lower() != b"100-continue":
            return Problem(417, "the only expectation that is met is 100-continue", "expectation_failed")
        if upgrade and b"websocket" in fields.get(b"upgrade", b"websocket").lower():
            return Problem(501, "WebSocket and other protocol upgrades are not carried yet", "not_implemented")
        return None

    def _plainly_chunked(self) -> bool:
        coding = [value.strip().lower() for value in find_all(self.headers, b"transfer-encoding")]
        return self.version == "1.1" and coding == [b"chunked"]
