"""Pure: one request as a client sent it, and whether the tap can serve it at all.

Checks beyond llhttp's (which refuses conflicting lengths, bare line ends and bad names): exactly one Host (RFC 9112,
3.2), no transfer coding but `chunked` and none in HTTP/1.0 (6.1), expectations (RFC 9110, 10.1.1), protocol changes.
"""

from dataclasses import dataclass, field

from .headers import Headers, find, find_all


@dataclass(slots=True)
class Problem:
    """Why a request is not served: the status to answer, and a sentence. The connection ends after the answer."""

    status: int
    message: str
    code: str = "bad_request"


@dataclass(slots=True, eq=False)
class Request:
    """What has been read of a request so far."""

    started_at_us: int
    started_s: float
    target: bytes = b""
    method: str = ""
    version: str = "1.1"
    headers: Headers = field(default_factory=list, repr=False)
    keep_alive: bool = True
    headed: bool = False
    complete: bool = False
    content_length: int | None = None
    chunked: bool = False
    problem: Problem | None = None
    pieces: list[bytes] = field(default_factory=list, repr=False)
    body_bytes: int = 0

    @property
    def bodiless(self) -> bool:
        return not self.chunked and not self.content_length

    @property
    def expects(self) -> bool:
        """The client waits for `100 Continue` before it sends its body."""
        return self.version == "1.1" and not self.bodiless and find(self.headers, b"expect") is not None

    def head(self, method: str, version: str, keep_alive: bool, upgrade: bool) -> None:
        """The head is complete: what the parser says of it, and what is wrong with it."""
        self.headed = True
        self.method, self.version, self.keep_alive = method, version, keep_alive and version == "1.1"
        coding = find_all(self.headers, b"transfer-encoding")
        self.chunked = bool(coding)
        lengths = find_all(self.headers, b"content-length")
        if lengths and lengths[0].isdigit():
            self.content_length = int(lengths[0])
        self.problem = self._problem(coding, upgrade)

    def _problem(self, coding: list[bytes], upgrade: bool) -> Problem | None:
        if self.version not in ("1.0", "1.1"):
            return Problem(505, "this gateway speaks HTTP/1.1", "http_version_not_supported")
        hosts = len(find_all(self.headers, b"host"))
        if hosts > 1 or (hosts == 0 and self.version == "1.1"):
            return Problem(400, "a request needs exactly one Host header")
        if coding and (self.version == "1.0" or [value.strip().lower() for value in coding] != [b"chunked"]):
            return Problem(400, "the only transfer coding that a request may use is chunked, over HTTP/1.1")
        expectation = find(self.headers, b"expect")
        if expectation is not None and expectation.strip().lower() != b"100-continue":
            return Problem(417, "the only expectation that is met is 100-continue", "expectation_failed")
        if upgrade:
            return Problem(501, "WebSocket and other protocol upgrades are not carried yet", "not_implemented")
        return None
