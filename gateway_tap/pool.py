"""Edge: connections to one upstream: kept alive, the latest first; new ones are made with a bounded wait."""

import asyncio
import errno
import ssl
from typing import Final, Protocol

import structlog

from .attempts import Cause
from .clock import Clock
from .deadlines import Deadlines
from .dial import dial
from .names import Names, Unresolved
from .outlet import Turn
from .routes import Route
from .tls import client_context
from .upstream import Upstream

IDLE_MAX_S: Final = 15.0
IDLE_MAX: Final = 512

log = structlog.get_logger("penstock.tap.pool")


class Caller(Protocol):
    """Who asked for a connection (the relay). One of the three is called, unless the task is cancelled."""

    def upstream_connected(self, upstream: Upstream) -> None:
        """Here it is."""

    def upstream_lost(self, reason: str, timeout: bool, cause: Cause) -> None:
        """It could not be made."""

    def fault(self) -> None:
        """The tap's own code failed while it took the connection."""


class Pool:
    """The connections of one route.

    An idle connection is kept for 15 s: long enough for a busy tap, shorter than most servers keep theirs, so that
    a request seldom meets a connection that its server is just closing.
    """

    def __init__(self, route: Route, deadlines: Deadlines, clock: Clock, turn: Turn, dns_ttl_s: float) -> None:
        self.clock = clock
        self.turn = turn
        self.timeouts = route.timeouts
        self.retries = route.retries
        self.route = route
        self._closed = False
        self._names = Names(
            route.host, route.port, allow_private=route.allow_private, ttl_s=dns_ttl_s, clock=clock, moved=self._moved
        )
        deadlines.heed(route.timeouts)
        self._deadlines = deadlines
        self._idle: list[tuple[Upstream, float]] = []
        self._tls = client_context(route.ca) if route.tls else None

    @property
    def idle_count(self) -> int:
        """Connections that wait."""
        return len(self._idle)

    def idle(self) -> Upstream | None:
        """A connection that waits, or None."""
        now_s = self.clock.monotonic_s()
        if now_s >= self._names.due_s:
            self._names.refresh()
        oldest_s = now_s - IDLE_MAX_S
        while self._idle:
            upstream, since_s = self._idle.pop()
            if upstream.usable and since_s > oldest_s:
                return upstream
            upstream.close()
        return None

    def give_back(self, upstream: Upstream) -> None:
        """An exchange has ended cleanly on `upstream`. It is kept if the name still stands for its address."""
        if self._closed or not self._names.holds(upstream.address):
            upstream.close()
            return
        now_s = self.clock.monotonic_s()
        while self._idle and (len(self._idle) >= IDLE_MAX or self._idle[0][1] < now_s - IDLE_MAX_S):
            self._idle.pop(0)[0].close()
        self._idle.append((upstream, now_s))

    def forget(self, upstream: Upstream) -> None:
        """`upstream` is closed."""
        if upstream.reused:
            self._idle = [pair for pair in self._idle if pair[0] is not upstream]

    def connect(self, caller: Caller, after_s: float = 0.0) -> "asyncio.Task[None]":
        """Opens a connection, `after_s` from now, and tells `caller`."""
        return asyncio.create_task(self._connect(caller, after_s))

    def close(self) -> None:
        """Closes what waits; nobody will ask for a connection again."""
        self._names.close()
        self.retire()

    def retire(self) -> None:
        """The settings no longer name this upstream so: what waits is closed, what runs as soon as it has ended."""
        self._closed = True
        for upstream, _ in self._idle:
            upstream.close()
        self._idle = []

    def _moved(self) -> None:
        """The name no longer stands for some address: what waits there is closed."""
        moved = [upstream for upstream, _ in self._idle if not self._names.holds(upstream.address)]
        for upstream in moved:
            upstream.close()

    async def _connect(self, caller: Caller, after_s: float) -> None:
        if after_s:
            await asyncio.sleep(after_s)
        try:
            await self._dial(caller)
        except Exception as error:
            # Supervisor: no task of the event loop may end an exchange by forgetting it.
            log.error("fault", error=type(error).__name__, exc_info=True)
            caller.fault()

    async def _dial(self, caller: Caller) -> None:
        try:
            async with asyncio.timeout(self.timeouts.connect_s):
                upstream = await dial(await self._names.addresses(), self._open)
        except TimeoutError:
            caller.upstream_lost("upstream connect timeout", True, "connect")
        except (OSError, Unresolved) as error:
            caller.upstream_lost(_why(error), False, "connect")
        else:
            caller.upstream_connected(upstream)

    async def _open(self, address: str) -> Upstream:
        """A connection to one address; its certificate is checked for the name."""
        _, upstream = await asyncio.get_running_loop().create_connection(
            lambda: Upstream(self, self._deadlines, address),
            address,
            self.route.port,
            ssl=self._tls,
            server_hostname=self.route.host if self._tls else None,
        )
        return upstream


def _why(error: Exception) -> str:
    if isinstance(error, Unresolved):
        return str(error)
    if isinstance(error, ssl.SSLError):
        return f"upstream TLS failed: {error.reason or 'handshake'}"
    if isinstance(error, ConnectionRefusedError):
        return "upstream refused the connection"
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "the gateway has no file descriptor left to call the upstream with"
    return "the upstream cannot be reached"
