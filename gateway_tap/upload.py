"""The request's body on its way to the upstream: whole, or piece by piece where it is larger than the tap reads.

The framing is ours (Content-Length where the client gave one, else chunked); the bytes are counted and digested as the
client sent them.
"""

import hashlib
from typing import Any

from .headers import Headers, request_head
from .request import Request
from .routes import Chosen


class Upload:
    """One request's body. Pieces that come before the upstream is connected are kept in `waiting`."""

    __slots__ = ("_chunked", "_digest", "_request", "bytes", "complete", "waiting", "whole")

    def __init__(self, request: Request, whole: bytes | None) -> None:
        self._request = request
        self._chunked = request.chunked and whole is None
        self._digest = hashlib.sha256()
        self.bytes = 0
        self.whole = whole
        self.complete = whole is not None
        self.waiting = b""
        if whole:
            self._count(whole)

    def start(self, chosen: Chosen, headers: Headers, asked: bytes | None = None) -> bytes:
        """The head for the upstream, with these `headers`, and all of the body that is known. `asked`: the whole body
        as the upstream is to get it, where that is not as the client sent it."""
        request = self._request
        length, whole = request.content_length, self.whole if asked is None else asked
        if whole is not None and not request.bodiless:
            length = len(whole)
        head = request_head(request.method, chosen.target, chosen.route.authority, headers, length, self._chunked)
        waiting, self.waiting = self.waiting, b""
        return head + (whole if whole is not None else waiting)

    def piece(self, data: bytes) -> bytes:
        """More of the body; returns it framed."""
        self._count(data)
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data

    def end(self) -> bytes:
        """The body is complete; returns what ends its framing."""
        self.complete = True
        return b"0\r\n\r\n" if self._chunked else b""

    def figures(self) -> dict[str, Any]:
        """Members of `Completion`."""
        return {"request_bytes": self.bytes, "request_sha256": self._digest.hexdigest()}

    def _count(self, data: bytes) -> None:
        self.bytes += len(data)
        self._digest.update(data)
