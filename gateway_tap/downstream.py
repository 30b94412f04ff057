"""Edge: one client connection. llhttp (httptools) reads its requests; they are served one at a time, in order.

A body of up to `tap.parse_max_bytes` is read whole before its relay starts; a larger one passes through. Nothing is
gathered without bound: what is read ahead of the running exchange, and what a client does not take, stops the reading.
A client that closes its side has hung up, whether or not it still reads: the two cannot be told apart.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast

import httptools
import structlog

from .bounds import head_problem, size_problem
from .core import Core
from .hangup import has_hung_up
from .outlet import Outlet
from .patience import Patience
from .relay import Relay
from .request import Problem, Request

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
AHEAD_MAX: Final = 64
"""Requests read ahead of the one that is served. Beyond that, or beyond `tap.parse_max_bytes` of their bodies, the
connection is not read."""
TOO_MANY: Final = Problem(
    503,
    "the gateway has as many connections as it may have (tap.max_connections, or its limit on open files)",
    "too_many_connections",
    retry_after_s=1,
)

log = structlog.get_logger("penstock.tap.client")


class Downstream(asyncio.Protocol):
    """One client connection."""

    def __init__(self, core: Core) -> None:
        self.address = ""
        self._core = core
        self._outlet: Outlet | None = None
        self._patience = Patience(core.tap.timeouts, core.clock.monotonic_s())
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Request] = deque()
        self._reading: Request | None = None
        self._relay: Relay | None = None
        self._head_bytes = 0
        self._ahead_bytes = 0
        self._turn_s = 0.0
        self._deaf = False
        self._paused = False
        self._again = False
        self._reason = "the client closed the connection"

    @property
    def deadline_s(self) -> float:
        return self._patience.due_s

    # ── what the relay calls ──

    def write(self, data: bytes) -> None:
        if self._outlet is not None:
            self._outlet.write(data)

    def abort(self) -> None:
        self._relay = None
        if self._outlet is not None:
            self._outlet.abort()

    def break_off(self) -> None:
        self._relay = None
        if self._outlet is not None:
            self._close(linger=not self._queue[0].complete)

    def pause_body(self, full: bool) -> None:
        if not full and self._queue:
            self._continue(self._queue[0])
        self._pause(full or self._far_ahead)

    def finished(self, *, keep_alive: bool) -> None:
        self._relay = None
        request = self._queue.popleft()
        if self._outlet is None:
            return
        if not keep_alive or self._core.gate.stopping:
            self._close(linger=not request.complete)
            return
        self._turn_s = self._core.clock.monotonic_s()
        if self._queue:
            self._ahead_bytes -= self._queue[0].body_bytes
            asyncio.get_running_loop().call_soon(self._next)
        self._pause(self._far_ahead)
        if self._queue:
            return
        if self._reading is None:
            self._patience.next_request(self._turn_s)
        else:
            self._patience.head(self._turn_s)

    # ── what the transport calls ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connected = cast(asyncio.Transport, transport)
        self._outlet = Outlet(connected, self._core.turn)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else ""
        connected.set_write_buffer_limits(high=self._core.tap.write_buffer_bytes)
        self._core.deadlines.add(self)
        self._core.clients.add(self)
        if len(self._core.clients) > self._core.room:
            self._guard(self._problem, TOO_MANY)

    def data_received(self, data: bytes) -> None:
        self._guard(self._receive, data)

    def _guard(self, act: Callable[..., None], *given: object) -> None:
        try:
            act(*given)
        except Exception as error:
            # Supervisor: whatever failed in here, this client sees an error, its exchange ends as tap_error, and no
            # other connection is touched.
            log.error("fault", error=type(error).__name__, exc_info=True)
            self.fault()

    def connection_lost(self, exc: Exception | None) -> None:
        self._core.deadlines.remove(self)
        self._core.clients.discard(self)
        self._outlet = None
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.client_lost(self._reason)

    def eof_received(self) -> None:
        """The client has closed its side. While an exchange runs that is a hang-up; else what was written still goes
        out, and the transport closes."""
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.client_lost(self._reason)
            self.abort()
        else:
            self._queue.clear()
            self._until_taken()

    def pause_writing(self) -> None:
        self._until_taken()
        if self._relay is not None:
            self._relay.client_full(True)

    def resume_writing(self) -> None:
        self._patience.taken()
        if self._relay is not None:
            self._relay.client_full(False)

    def expire(self) -> None:
        """Too little came, or was taken, for too long."""
        outlet = self._outlet
        if outlet is None:
            return
        late = self._patience.late(outlet.waiting_bytes, self._core.clock.monotonic_s())
        if late == "look" and has_hung_up(outlet.transport):
            self.eof_received()
        elif late == "look":
            self._patience.unread(self._core.clock.monotonic_s())
        if late in (None, "look"):
            return
        if late != "taking" and self._relay is None and self._reading is not None and not self._deaf:
            self._problem(Problem(408, "the request did not arrive in time", "request_timeout"))
            return
        self._reason = "the client stopped reading" if late == "taking" else "the client stopped sending"
        outlet.abort()

    def stop(self) -> None:
        """The tap stops: an idle connection closes, a busy one after its answer."""
        if self._relay is None and self._outlet is not None:
            self._outlet.close()

    # ── what the parser calls ──

    def on_message_begin(self) -> None:
        if self._again:
            return
        clock = self._core.clock
        self._reading = Request(clock.now_us(), clock.monotonic_s())

    def on_url(self, part: bytes) -> None:
        if self._reading is not None and not self._again:
            self._reading.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reading is not None and not self._reading.headed:
            self._reading.headers.append((name, value))

    def on_headers_complete(self) -> None:
        request, parser = self._reading, self._parser
        if self._again:
            self._again = False
            return
        assert request is not None
        request.head(
            parser.get_method().decode(), parser.get_http_version(), parser.should_keep_alive(), parser.should_upgrade()
        )
        if request.problem is None:
            request.problem = size_problem(request, self._head_bytes, self._core.tap)
        self._head_bytes = 0
        self._queue.append(request)
        if len(self._queue) == 1:
            self._patience.body(request.started_s)
        elif self._far_ahead:
            self._pause(True)

    def on_body(self, data: bytes) -> None:
        request = self._reading
        assert request is not None
        request.body_bytes += len(data)
        if self._queue[0] is not request:
            self._ahead_bytes += len(data)
            if self._far_ahead:
                self._pause(True)
        elif self._relay is not None:
            self._relay.request_body(data)
            return
        if request.problem is None:
            request.pieces.append(data)

    def on_message_complete(self) -> None:
        request, self._reading = self._reading, None
        assert request is not None
        request.complete = True
        if self._relay is not None and self._queue and self._queue[0] is request:
            self._relay.request_end()

    # ── the order of things ──

    def _receive(self, data: bytes) -> None:
        if self._deaf:
            return
        self._head_bytes += len(data)
        rest = data
        while rest:
            rest = self._feed(rest)
        request = self._reading
        if request is not None and not request.headed:
            problem = head_problem(request, self._head_bytes, self._core.tap)
            if problem is not None:
                self._problem(problem)
        else:
            self._head_bytes = 0
        if self._relay is None:
            self._advance()
        self._watch(len(data))

    def _advance(self) -> None:
        """Starts the relay of the first request in the queue, if enough of it is here."""
        if self._relay is not None or not self._queue or self._outlet is None:
            return
        request = self._queue[0]
        limit = self._core.tap.parse_max_bytes
        if request.problem is not None or request.complete:
            body: bytes | None = b"".join(request.pieces)
        elif (request.content_length or 0) > limit or request.body_bytes > limit:
            body = None
        else:
            self._continue(request)
            return
        pieces, request.pieces = request.pieces, []
        self._relay = relay = Relay(self._core, self, request, body)
        relay.start()
        if body is None:
            for piece in pieces:
                relay.request_body(piece)
            if request.complete:
                relay.request_end()

    def _next(self) -> None:
        """The turn of the request that was read ahead has come."""
        self._guard(self._advance)
        if self._queue and self._queue[0] is self._reading:
            self._patience.body(self._turn_s)

    def _continue(self, request: Request) -> None:
        """Tells a client that waits for it to send its body: not before somebody wants it (RFC 9110, 10.1.1)."""
        if request.expects and not request.continued and not request.body_bytes:
            request.continued = True
            self.write(CONTINUE)

    @property
    def _far_ahead(self) -> bool:
        return len(self._queue) > AHEAD_MAX or self._ahead_bytes > self._core.tap.parse_max_bytes

    def _feed(self, data: bytes) -> bytes:
        """Parses `data`; returns what the parser has left, where it must go on as another one."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError:
            self._malformed()
        return b""

    def _decline_upgrade(self, rest: bytes) -> bytes:
        """The client offered another protocol (`Upgrade: h2c`), which a server may ignore (RFC 9110, 7.8). llhttp stops
        at such a head, so a new parser reads on from the same head without the offer."""
        request = self._queue[-1]
        if request.problem is not None:
            return b""
        self._reading, request.complete = request, False
        self._parser, self._again = httptools.HttpRequestParser(self), True
        self._parser.feed_data(request.again())
        return rest

    def _malformed(self) -> None:
        """What came is no HTTP request. Its bytes are told to nobody: they may hold a credential."""
        request = self._reading
        if request is None or not request.headed:
            self._problem(Problem(400, "the request is not well-formed HTTP/1.1"))
        elif self._relay is not None and self._queue[0] is request:
            self._reason = "the request's body is malformed"
            relay, self._relay = self._relay, None
            relay.client_lost(self._reason)
            self.abort()
        else:
            request.problem = Problem(400, "the request's body is malformed")

    def _problem(self, problem: Problem) -> None:
        """Answers `problem` when its turn comes, then closes."""
        clock = self._core.clock
        request = self._reading or Request(clock.now_us(), clock.monotonic_s())
        request.problem = problem
        self._reading = None
        self._deaf = True
        self._patience.nothing()
        if request not in self._queue:
            self._queue.append(request)
        self._advance()

    def _watch(self, count_bytes: int) -> None:
        """Says what is waited for, after a read of `count_bytes`. What comes ahead of its turn may take its time."""
        request = self._reading
        if self._deaf or self._paused:
            return
        if self._queue and self._queue[0] is not request:
            self._patience.nothing()
        elif request is None:
            return
        elif request.headed:
            self._patience.body_moved(count_bytes, self._core.clock.monotonic_s())
        else:
            self._patience.head(max(request.started_s, self._turn_s))

    def _until_taken(self) -> None:
        if self._outlet is not None:
            self._patience.full(self._outlet.waiting_bytes, self._core.clock.monotonic_s())

    def _pause(self, pause: bool) -> None:
        if pause != self._paused and self._outlet is not None and not self._outlet.closing:
            self._paused = pause
            if pause:
                self._outlet.pause_reading()
                self._patience.unread(self._core.clock.monotonic_s())
            else:
                self._outlet.resume_reading()
                self._patience.nothing()
                if self._queue and self._queue[0] is self._reading:
                    self._patience.body(self._core.clock.monotonic_s())

    def _close(self, *, linger: bool) -> None:
        """Closes after what was written. `linger`: the client still sends; a reset now could cost it our answer
        (RFC 9112, 9.6), so its bytes are read and dropped for a moment."""
        outlet = self._outlet
        assert outlet is not None
        self._deaf = True
        self._queue.clear()
        self._patience.nothing()
        self._until_taken()
        if linger and outlet.write_eof():
            self._pause(False)
            self._patience.linger(self._core.clock.monotonic_s())
        else:
            outlet.close()

    def fault(self) -> None:
        """The tap's own code failed: this client's exchange ends, and its connection."""
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.fault()
        self.abort()
