"""Edge: one client connection. llhttp (httptools) reads its requests; they are served one at a time, in order.

A body of up to `tap.parse_max_bytes` is read whole before its relay starts; a larger one passes through.
"""

import asyncio
from collections import deque
from typing import Final, cast

import httptools
import structlog

from .core import Core
from .deadlines import NEVER
from .relay import Relay
from .request import Problem, Request

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
KEEP_ALIVE_S: Final = 75.0
LINGER_S: Final = 2.0
AHEAD_MAX: Final = 64
"""Requests read ahead of the one that is served; beyond, the connection is not read."""

log = structlog.get_logger("penstock.tap.client")


class Downstream(asyncio.Protocol):
    """One client connection."""

    def __init__(self, core: Core) -> None:
        self.deadline_s = NEVER
        self.address = ""
        self._core = core
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Request] = deque()
        self._reading: Request | None = None
        self._relay: Relay | None = None
        self._head_bytes = 0
        self._lingering = False
        self._paused = False
        self._again = False
        self._reason = "the client closed the connection"

    # ── what the relay calls ──

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        self._relay = None
        if self._transport is not None:
            self._transport.abort()

    def break_off(self) -> None:
        self._relay = None
        if self._transport is not None:
            self._close(linger=not self._queue[0].complete)

    def pause_body(self, full: bool) -> None:
        self._pause(full)

    def finished(self, *, keep_alive: bool) -> None:
        self._relay = None
        request = self._queue.popleft()
        if self._transport is None:
            return
        if not keep_alive or self._core.gate.stopping:
            self._close(linger=not request.complete)
            return
        self._pause(False)
        self.deadline_s = self._core.clock.monotonic_s() + KEEP_ALIVE_S
        if self._queue:
            asyncio.get_running_loop().call_soon(self._advance)

    # ── what the transport calls ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else ""
        self.deadline_s = self._core.clock.monotonic_s() + self._core.tap.timeouts.client_header_s
        self._core.deadlines.add(self)
        self._core.clients.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._receive(data)
        except Exception as error:
            # Supervisor: whatever failed in here, this client sees an error, its exchange ends as tap_error, and no
            # other connection is touched.
            log.error("fault", error=type(error).__name__, exc_info=True)
            self._fault()

    def connection_lost(self, exc: Exception | None) -> None:
        self._core.deadlines.remove(self)
        self._core.clients.discard(self)
        self._transport = None
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.client_lost(self._reason)

    def pause_writing(self) -> None:
        self.deadline_s = self._core.clock.monotonic_s() + self._core.tap.timeouts.idle_s
        if self._relay is not None:
            self._relay.client_full(True)

    def resume_writing(self) -> None:
        self.deadline_s = NEVER
        if self._relay is not None:
            self._relay.client_full(False)

    def expire(self) -> None:
        """Nothing came, or nothing was taken, for too long."""
        self.deadline_s = NEVER
        request = self._reading
        if self._relay is not None:
            self._reason = "the client stopped reading" if request is None else "the client stopped sending"
        elif request is not None and not self._queue_busy and not self._lingering:
            self._problem(Problem(408, "the request did not arrive in time", "request_timeout"))
            return
        if self._transport is not None:
            self._transport.abort()

    def stop(self) -> None:
        """The tap stops: an idle connection closes, a busy one after its answer."""
        if self._relay is None and self._transport is not None:
            self._transport.close()

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
        self._head_bytes = 0
        if request.problem is None:
            self._check_sizes(request)
        self._queue.append(request)
        if len(self._queue) > AHEAD_MAX:
            self._pause(True)

    def on_body(self, data: bytes) -> None:
        request = self._reading
        assert request is not None
        request.body_bytes += len(data)
        if self._relay is not None and self._queue[0] is request:
            self._relay.request_body(data)
        elif request.problem is None:
            request.pieces.append(data)

    def on_message_complete(self) -> None:
        request, self._reading = self._reading, None
        assert request is not None
        request.complete = True
        if self._relay is not None and self._queue and self._queue[0] is request:
            self._relay.request_end()

    # ── the order of things ──

    def _receive(self, data: bytes) -> None:
        if self._lingering:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError:
            self._malformed()
        request = self._reading
        if request is not None and not request.headed:
            self._head_bytes += len(data)
            if self._head_bytes > self._core.tap.header_max_bytes:
                self._problem(Problem(431, "the request's head is too large", "headers_too_large"))
        if self._relay is None:
            self._advance()
        self._watch()

    def _advance(self) -> None:
        """Starts the relay of the first request in the queue, if enough of it is here."""
        if self._relay is not None or not self._queue or self._transport is None:
            return
        request = self._queue[0]
        limit = self._core.tap.parse_max_bytes
        if request.problem is not None or request.complete:
            body: bytes | None = b"".join(request.pieces)
        elif (request.content_length or 0) > limit or request.body_bytes > limit:
            body = None
        else:
            if request.expects and not request.body_bytes:
                self.write(CONTINUE)
            return
        pieces, request.pieces = request.pieces, []
        self._relay = relay = Relay(self._core, self, request, body)
        if body is None and request.expects and not request.body_bytes:
            self.write(CONTINUE)
        relay.start()
        if body is None:
            for piece in pieces:
                relay.request_body(piece)
            if request.complete:
                relay.request_end()

    def _check_sizes(self, request: Request) -> None:
        tap = self._core.tap
        head_bytes = len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers)
        if head_bytes > tap.header_max_bytes:
            request.problem = Problem(431, "the request's head is too large", "headers_too_large")
        elif (request.content_length or 0) > tap.body_max_bytes:
            request.problem = Problem(413, "the request's body is too large", "request_too_large")

    def _decline_upgrade(self, rest: bytes) -> None:
        """The client offered another protocol (`Upgrade: h2c`), which a server may ignore (RFC 9110, 7.8). llhttp stops
        at such a head, so a new parser reads on from the same head without the offer."""
        request = self._queue[-1]
        if request.problem is not None:
            return
        self._reading, request.complete = request, False
        self._parser, self._again = httptools.HttpRequestParser(self), True
        self._parser.feed_data(request.again())
        if rest:
            self._receive(rest)

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
        self._lingering = True
        if request not in self._queue:
            self._queue.append(request)
        self._advance()

    def _watch(self) -> None:
        """Sets the deadline that fits what is waited for."""
        request = self._reading
        if request is None:
            if self._relay is not None:
                self.deadline_s = NEVER
            return
        timeouts, now_s = self._core.tap.timeouts, self._core.clock.monotonic_s()
        if request.headed:
            self.deadline_s = NEVER if self._paused else now_s + timeouts.client_body_idle_s
        elif self._relay is None:
            self.deadline_s = request.started_s + timeouts.client_header_s

    @property
    def _queue_busy(self) -> bool:
        return self._relay is not None

    def _pause(self, pause: bool) -> None:
        if pause != self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
            self._watch()

    def _close(self, *, linger: bool) -> None:
        """Closes after what was written. `linger`: the client still sends; a reset now could cost it our answer
        (RFC 9112, 9.6), so its bytes are read and dropped for a moment."""
        transport = self._transport
        assert transport is not None
        self._lingering = True
        self._queue.clear()
        if not linger or not transport.can_write_eof():
            self.deadline_s = self._core.clock.monotonic_s() + self._core.tap.timeouts.idle_s
            transport.close()
            return
        self._pause(False)
        self.deadline_s = self._core.clock.monotonic_s() + LINGER_S
        transport.write_eof()

    def _fault(self) -> None:
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.fault()
        self.abort()
