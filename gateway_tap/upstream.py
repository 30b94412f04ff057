"""Edge: one connection to an upstream. Its bytes go on as they come.

It serves one exchange at a time, and goes back to its pool when the answer has ended cleanly.
"""

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

import structlog

from .answer import AnswerReader, BadAnswer
from .attempts import Cause
from .deadlines import NEVER, Deadlines
from .outlet import Outlet

if TYPE_CHECKING:
    from .pool import Pool

log = structlog.get_logger("penstock.tap.upstream")


class Answered(Protocol):
    """Who gets the answer (the relay). Called on the event loop; the last call is `upstream_lost`, `fault`, or the
    `upstream_read` with `ended`."""

    def upstream_head(self, answer: AnswerReader) -> None:
        """The head of `answer` is complete."""

    def upstream_read(self, data: bytes, ended: bool) -> None:
        """Body bytes of one read (perhaps none), and whether the answer has ended."""

    def upstream_lost(self, reason: str, timeout: bool, cause: Cause) -> None:
        """The connection ended, or was given up, before the answer did."""

    def upstream_full(self, full: bool) -> None:
        """The connection's send buffer is full, or has room again."""

    def fault(self) -> None:
        """The tap's own code failed while it handled the answer."""


class Upstream(asyncio.Protocol):
    """One connection. `call` begins an exchange; `send` adds to its request's body."""

    def __init__(self, pool: "Pool", deadlines: Deadlines, address: str) -> None:
        self.deadline_s = NEVER
        self.reused = False
        self.address = address
        self._pool = pool
        self._deadlines = deadlines
        self._idle_s = pool.timeouts.idle_s
        self._first_byte_s = pool.timeouts.first_byte_s
        self._until_s = NEVER
        self._outlet: Outlet | None = None
        self._peer: Answered | None = None
        self._answer = AnswerReader(head_only=False)
        self._sent = False

    @property
    def usable(self) -> bool:
        """The connection is open."""
        return self._outlet is not None and not self._outlet.closing

    def call(self, peer: Answered, data: bytes, *, whole: bool, head_only: bool, now_s: float, until_s: float) -> None:
        """Sends a request's head with what is known of its body. `whole`: nothing of it is missing. `head_only`: the
        method is HEAD, so the answer has no body. `until_s`: when all of the answer must be here."""
        assert self._outlet is not None
        self._peer = peer
        self._sent = whole
        self._answer = AnswerReader(head_only=head_only)
        self._until_s = until_s
        self._wait(now_s)
        self._outlet.write(data)

    def send(self, data: bytes, now_s: float, *, last: bool = False) -> None:
        """More of the request's body, framed. `last`: it is complete with this."""
        if self._outlet is not None:
            self._sent = last
            if not self._answer.headed:
                self._wait(now_s)
            self._outlet.write(data)

    def pause(self) -> None:
        """The client does not keep up: stop reading, and stop the clock but for the time in all."""
        if self.usable and self._outlet is not None:
            self._outlet.pause_reading()
            self.deadline_s = self._until_s

    def resume(self, now_s: float) -> None:
        """The client keeps up again."""
        if self.usable and self._outlet is not None:
            self._outlet.resume_reading()
            self._wait(now_s)

    def close(self) -> None:
        """Hangs up at once; the peer hears no more."""
        self._peer = None
        self.deadline_s = NEVER
        if self._outlet is not None:
            self._outlet.abort()

    # ── what the transport calls ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._outlet = Outlet(cast(asyncio.Transport, transport), self._pool.turn)
        self._deadlines.add(self)

    def data_received(self, data: bytes) -> None:
        peer = self._peer
        if peer is None:
            self.close()
            return
        try:
            self._receive(peer, data)
        except BadAnswer as error:
            self._lose(str(error), "answer")
        except Exception as error:
            # Supervisor: whatever failed in here, the client sees an error, its exchange ends as tap_error, and no
            # other connection is touched.
            log.error("fault", error=type(error).__name__, exc_info=True)
            self.fault(peer)

    def eof_received(self) -> None:
        peer, answer = self._peer, self._answer
        if peer is not None and not answer.ended and answer.eof():
            self._leave()
            peer.upstream_read(answer.take(), True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadlines.remove(self)
        self._pool.forget(self)
        if exc is None:
            self.eof_received()
        self._outlet = None
        self._lose(
            "the upstream closed the connection" if exc is None else "the upstream reset the connection", "reset"
        )

    def pause_writing(self) -> None:
        if self._peer is not None:
            self._peer.upstream_full(True)

    def resume_writing(self) -> None:
        if self._peer is not None:
            self._peer.upstream_full(False)

    def fault(self, peer: Answered | None = None) -> None:
        """The tap's own code failed: this connection ends, and its exchange."""
        peer = peer or self._peer
        self.close()
        if peer is not None:
            peer.fault()

    def expire(self) -> None:
        """A deadline has passed."""
        if self._pool.clock.monotonic_s() >= self._until_s:
            self._lose("upstream total timeout", "total")
        else:
            self._lose("upstream idle timeout" if self._answer.headed else "upstream first byte timeout", "timeout")

    def _receive(self, peer: Answered, data: bytes) -> None:
        answer = self._answer
        headed = answer.headed
        try:
            answer.feed(data)
        except BadAnswer:
            if headed:
                peer.upstream_read(answer.take(), False)
            raise
        if not answer.headed:
            return
        self._wait(self._pool.clock.monotonic_s())
        if not headed:
            peer.upstream_head(answer)
            if self._peer is not peer:
                return
        body = answer.take()
        if answer.ended:
            self._leave()
            peer.upstream_read(body, True)
        elif body or not headed:
            peer.upstream_read(body, False)

    def _leave(self) -> None:
        """The answer has ended: back to the pool, or closed. What is left of a request that was answered early would be
        read as the next one, so such a connection never goes back."""
        self._peer = None
        self.deadline_s = NEVER
        if self._answer.reusable and self._sent and self.usable:
            self.reused = True
            self._pool.give_back(self)
        elif self._outlet is not None:
            self._outlet.close()

    def _wait(self, now_s: float) -> None:
        """Sets the deadline of the phase: to the head, then to the next byte."""
        due_s = now_s + (self._idle_s if self._answer.headed else self._first_byte_s)
        self.deadline_s = due_s if due_s < self._until_s else self._until_s

    def _lose(self, reason: str, cause: Cause) -> None:
        peer = self._peer
        self.close()
        if peer is not None:
            peer.upstream_lost(reason, cause in ("timeout", "total"), cause)
