"""Edge: connections to one upstream: kept alive, the latest first; new ones are made with a bounded wait."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from penstock.schemas.tap_settings import Timeouts

from .clock import Clock
from .deadlines import Deadlines
from .routes import Route
from .upstream import Upstream

IDLE_MAX_S: Final = 15.0
IDLE_MAX: Final = 512

Connected = Callable[[Upstream], None]
Failed = Callable[[str, bool], None]


class Pool:
    """The connections of one route.

    An idle connection is kept for 15 s: long enough for a busy tap, shorter than most servers keep theirs, so that
    a request seldom meets a connection that its server is just closing.
    """

    def __init__(self, route: Route, timeouts: Timeouts, deadlines: Deadlines, clock: Clock) -> None:
        self.clock = clock
        self._route = route
        self._timeouts = timeouts
        self._deadlines = deadlines
        self._idle: list[tuple[Upstream, float]] = []
        self._tls = ssl.create_default_context() if route.tls else None

    @property
    def idle_count(self) -> int:
        """Connections that wait."""
        return len(self._idle)

    def idle(self) -> Upstream | None:
        """A connection that waits, or None."""
        oldest_s = self.clock.monotonic_s() - IDLE_MAX_S
        while self._idle:
            upstream, since_s = self._idle.pop()
            if upstream.usable and since_s > oldest_s:
                return upstream
            upstream.close()
        return None

    def give_back(self, upstream: Upstream) -> None:
        """An exchange has ended cleanly on `upstream`."""
        now_s = self.clock.monotonic_s()
        while self._idle and (len(self._idle) >= IDLE_MAX or self._idle[0][1] < now_s - IDLE_MAX_S):
            self._idle.pop(0)[0].close()
        self._idle.append((upstream, now_s))

    def forget(self, upstream: Upstream) -> None:
        """`upstream` is closed."""
        if upstream.reused:
            self._idle = [pair for pair in self._idle if pair[0] is not upstream]

    def connect(self, connected: Connected, failed: Failed) -> "asyncio.Task[None]":
        """Opens a connection and calls one of the two, unless the task is cancelled. `failed` gets a reason, and
        whether it was a timeout."""
        return asyncio.create_task(self._connect(connected, failed))

    def close(self) -> None:
        """Closes what waits."""
        for upstream, _ in self._idle:
            upstream.close()
        self._idle = []

    async def _connect(self, connected: Connected, failed: Failed) -> None:
        timeouts, route = self._timeouts, self._route
        try:
            async with asyncio.timeout(timeouts.connect_s):
                _, upstream = await asyncio.get_running_loop().create_connection(
                    lambda: Upstream(self, self._deadlines, timeouts.idle_s, timeouts.first_byte_s),
                    route.host,
                    route.port,
                    ssl=self._tls,
                    server_hostname=route.host if self._tls else None,
                )
        except TimeoutError:
            failed("upstream connect timeout", True)
        except ssl.SSLError as error:
            failed(f"upstream TLS failed: {error.reason or 'handshake'}", False)
        except ConnectionRefusedError:
            failed("upstream refused the connection", False)
        except OSError:
            failed("the upstream cannot be reached", False)
        else:
            connected(upstream)
