"""The tap's own code between a hostile client and h11, without sockets: what is fed in pieces goes through the real
connection, relay, upload and upstream classes; h11 reads what the tap sends on, and answers each whole request."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import h11
import structlog

from penstock.gateway_tap.app import build
from penstock.gateway_tap.clock import Clock
from penstock.gateway_tap.core import Core
from penstock.gateway_tap.downstream import Downstream
from penstock.gateway_tap.memory import MemoryPublisher
from penstock.gateway_tap.outlet import Turn
from penstock.gateway_tap.pool import Pool
from penstock.gateway_tap.upstream import Upstream
from penstock.schemas.settings import Settings

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Penstock-Exchange-Id: theirs\r\n\r\n"
Forwarded = tuple[bytes, bytes, bytes]
"""Method, target and body of a request as h11 reads it."""


class Wire:
    """A transport of which one end is in this process."""

    def __init__(self, take: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        self._take, self._lost = take, lost
        self.closed = self.paused = self.half_closed = False

    def write(self, data: bytes) -> None:
        if not self.closed:
            self._take(data)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self._lost)

    abort = close

    def write_eof(self) -> None:
        self.half_closed = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None) -> None:
        """Nothing waits here."""

    def get_extra_info(self, name: str) -> tuple[str, int] | None:
        return ("127.0.0.1", 1) if name == "peername" else None

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Judge:
    """One connection to the upstream, read by h11."""

    def __init__(self, pool: "JudgedPool") -> None:
        self.upstream = Upstream(pool, pool.of_deadlines, "127.0.0.1")
        self.requests: list[Forwarded] = []
        self.wrong = ""
        self.half = False
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        self._request: h11.Request | None = None
        self._body = b""
        self.wire = Wire(self.take, lambda: self.upstream.connection_lost(None))
        self.upstream.connection_made(cast(asyncio.Transport, self.wire))

    def take(self, data: bytes) -> None:
        """Bytes of the tap."""
        try:
            self._parser.receive_data(data)
            while not self.wrong:
                event = self._parser.next_event()
                if event is h11.NEED_DATA:
                    break
                self._read(event)
        except h11.RemoteProtocolError as error:
            self.wrong = f"h11 refuses what the tap sends on: {error}"

    def _read(self, event: Any) -> None:
        if isinstance(event, h11.Request):
            self._request, self._body, self.half = event, b"", True
            names = [name.lower() for name, _ in event.headers]
            if names.count(b"host") != 1 or any(name.replace(b"_", b"-").startswith(b"x-penstock-") for name in names):
                self.wrong = "Host is not rebuilt, or a field of ours goes on"
        elif isinstance(event, h11.Data):
            self._body += event.data
        elif isinstance(event, h11.EndOfMessage) and self._request is not None:
            self.half = False
            self.requests.append((self._request.method, self._request.target, self._body))
            self.answer(self._request.method)
            self._next(self._request.method)
        elif event is h11.PAUSED:
            self.wrong = "the tap sends on another request before the answer"

    def answer(self, method: bytes) -> None:
        """The plain answer."""
        body = b"" if method == b"HEAD" else b"{}"
        asyncio.get_running_loop().call_soon(self.upstream.data_received, ANSWER + body)

    def _next(self, method: bytes) -> None:
        """Makes h11 ready for another request."""
        body = b"" if method == b"HEAD" else b"{}"
        self._parser.send(h11.Response(status_code=200, headers=[("Content-Length", "2")]))
        self._parser.send(h11.Data(body))
        self._parser.send(h11.EndOfMessage())
        if self._parser.our_state is h11.DONE and self._parser.their_state is h11.DONE:
            self._parser.start_next_cycle()


class JudgedPool(Pool):
    """A pool whose connections end in judges."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.judges: list[Judge] = []

    @property
    def of_deadlines(self) -> Any:
        return self._deadlines

    def idle(self) -> Upstream | None:
        while self._idle:
            upstream, _ = self._idle.pop()
            if upstream.usable:
                return upstream
        judge = Judge(self)
        self.judges.append(judge)
        return judge.upstream

    def give_back(self, upstream: Upstream) -> None:
        self._idle.append((upstream, 0.0))


class RawPublisher(MemoryPublisher):
    """Keeps events as they were encoded."""

    def __init__(self) -> None:
        super().__init__()
        self.raw: list[bytes] = []

    def publish(self, partition: int, exchange_id: str, events: list[bytes]) -> bool:
        self.raw += events
        return True


class Faults:
    """Counts what the tap logs as its own failure."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        structlog.configure(processors=[self._note])

    def _note(self, logger: Any, method: str, event: Any) -> Any:
        if event.get("event") == "fault":
            self.seen.append(str(event.get("error")))
        raise structlog.DropEvent


class Tap:
    """A tap of its own settings, and one client at a time."""

    def __init__(self, settings: Settings) -> None:
        self.publisher = RawPublisher()
        clock = Clock()
        self.core: Core = build(settings, self.publisher, clock)
        (route,) = self.core.routes
        self.pool = JudgedPool(route, self.core.deadlines, clock, Turn(), 30.0)
        self.pool.turn = self.core.turn
        self.core.pools[route.name] = self.pool
        self.core.gate.ready = True

    async def run(self, pieces: list[bytes]) -> tuple[bytes, Wire]:
        """One client that sends `pieces` and closes; returns what it got, and its transport."""
        got: list[bytes] = []
        self.publisher.raw.clear()
        self.pool.judges = [judge for judge in self.pool.judges if judge.upstream.usable][-1:]
        for judge in self.pool.judges:
            judge.requests.clear()
        client = Downstream(self.core)
        wire = Wire(got.append, lambda: client.connection_lost(None))
        client.connection_made(cast(asyncio.Transport, wire))
        for piece in pieces:
            await settle(lambda: not wire.paused)
            if wire.closed:
                break
            client.data_received(piece)
            await settle(lambda: False, turns=2)
        await settle(lambda: not self.core.running and client._queue == client._queue.__class__(), turns=40)
        await settle(lambda: False, turns=3)  # what was written goes out at the end of a turn
        if not wire.closed:
            client.eof_received()
            wire.close()
        await settle(lambda: not self.core.clients and not self.core.running)
        return b"".join(got), wire


async def settle(done: Callable[[], bool], turns: int = 60) -> None:
    """Turns of the event loop until `done`, at most `turns`."""
    for _ in range(turns):
        await asyncio.sleep(0)
        if done():
            return
