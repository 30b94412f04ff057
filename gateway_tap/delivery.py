"""Gives one answer to one client: the upstream's body bytes unchanged, in framing of our own.

Nothing here waits: bytes are handed to the client's transport, which buffers; the relay stops reading from upstream
while that buffer is full.
"""

from typing import Protocol

from penstock.schemas.events import Api
from penstock.wire.ending import stream_terminal

from .headers import EXCHANGE_ID, Headers, response_head

END: bytes = b"0\r\n\r\n"
NO_BODY = frozenset({204, 304})


class Client(Protocol):
    """A client's connection, as far as an answer needs it."""

    def write(self, data: bytes) -> None:
        """Hands bytes to the transport."""

    def abort(self) -> None:
        """Ends the connection at once, so that the client sees an error and no clean end."""

    def break_off(self) -> None:
        """Ends the connection behind what was written: the framing says that something is missing."""


class Owner(Client, Protocol):
    """A client's connection, as an exchange needs it (`downstream.Downstream`)."""

    address: str

    def pause_body(self, full: bool) -> None:
        """Stop, or go on, reading the request's body."""

    def finished(self, *, keep_alive: bool) -> None:
        """The exchange is over; the next request may be served."""


class Delivery:
    """One answer. `head` comes first, `end` last; `hold` keeps bytes back until `end`."""

    __slots__ = ("_chunked", "_client", "_close", "_framed", "_head", "_held", "_http10", "_no_body", "open_ended")

    def __init__(self, client: Client, *, http10: bool, head_only: bool, close: bool) -> None:
        self._client = client
        self._http10 = http10
        self._no_body = head_only
        self._close = close
        self._chunked = False
        self._head = b""
        self._held = b""
        self._framed = False
        self.open_ended = False

    @property
    def keep_alive(self) -> bool:
        """The connection may serve another request after this answer."""
        return not self._close

    def head(self, status: int, reason: bytes, headers: Headers, length: int | None, exchange_id: str) -> None:
        """The head; it is written with the first body bytes, or by `flush`. `length`: the body's, if it was said."""
        head_only, self._no_body = self._no_body, self._no_body or status in NO_BODY
        framing = [(EXCHANGE_ID, exchange_id.encode())]
        if length is not None and (status not in NO_BODY or head_only):
            framing.append((b"content-length", b"%d" % length))
        elif not self._no_body:
            self.open_ended = True
            if self._http10:
                self._close = True
            else:
                self._chunked = True
                framing.append((b"transfer-encoding", b"chunked"))
        self._framed = self._chunked or length is not None
        if self._close:
            framing.append((b"connection", b"close"))
        self._head = response_head(status, reason, headers, framing)

    def give(self, data: bytes) -> None:
        """Body bytes, to the client now."""
        if self._chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            self._client.write(data)

    def flush(self) -> None:
        """The head, if it still waits."""
        if self._head:
            self.give(b"")

    def hold(self, data: bytes) -> None:
        """Body bytes that the client gets with the end."""
        self._held += data

    @property
    def holding(self) -> bool:
        """Some bytes are kept back."""
        return bool(self._held)

    def end(self) -> None:
        """What was held, and the end of the body."""
        self.give(self._held)
        self._held = b""
        if self._chunked:
            self._client.write(END)

    def abort(self) -> None:
        """No clean end: the client must see that something is missing. It gets all that was given; only where the end
        of the connection would be the end of the body, the connection is reset."""
        if self._framed:
            self._client.break_off()
        else:
            self._client.abort()


def last_bytes_at(api: Api, pending_bytes: int, events: list[bytes], data: bytes, ended: bool) -> int:
    """Where in `data` the last bytes of an answer begin, which audit strict holds back: at the stream's own last event,
    else at the read with which the answer ended. `events` were completed by `data`; `pending_bytes` of the first had
    come before it."""
    at = -pending_bytes
    for event in events:
        if stream_terminal(api, event):
            return max(at, 0)
        at += len(event)
    return 0 if ended else len(data)
