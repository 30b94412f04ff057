"""Edge: the addresses of one upstream: looked up off the hot path, kept for a while, looked up again in the background.

A connection is made to an address, never to a name, so that what was checked is what is called. While a name cannot be
looked up again, its last addresses stay in use.
"""

import asyncio
import math
import socket
from collections.abc import Callable
from itertools import chain, zip_longest
from typing import Final

from .clock import Clock
from .ranges import is_literal, may_stand_for

RETRY_S: Final = 5.0
"""After a lookup that failed, the next one is tried this much later, or after the TTL if that is shorter."""
ADDRESSES_MAX: Final = 8


class Unresolved(Exception):
    """The name stands for no address that may be called. The message says why."""


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of `host` in the order of RFC 6724, by the system's resolver, in a thread. OSError on failure."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Names:
    """The addresses of `host`. `due_s`: when they should be looked up again (never for a literal). `moved` is called
    when an address that was there is no longer."""

    def __init__(
        self, host: str, port: int, *, allow_private: bool, ttl_s: float, clock: Clock, moved: Callable[[], None]
    ) -> None:
        self.due_s = -math.inf
        self._moved = moved
        self._host, self._port = host, port
        self._literal = is_literal(host)
        self._allow_private = allow_private
        self._ttl_s = ttl_s
        self._clock = clock
        self._known: list[str] = []
        if self._literal and not host.endswith("localhost"):
            self._known, self.due_s = [host], math.inf
        self._problem = ""
        self._looking: asyncio.Task[None] | None = None

    async def addresses(self) -> list[str]:
        """What to call, in turn. Waits only where nothing is known yet. Unresolved where there is nothing to call."""
        if self._clock.monotonic_s() >= self.due_s:
            self.refresh()
        if not self._known and self._looking is not None:
            await asyncio.shield(self._looking)
        if not self._known:
            raise Unresolved(self._problem)
        return self._known

    def refresh(self) -> None:
        """Looks up again in the background, once at a time."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_up())

    def holds(self, address: str) -> bool:
        """Whether the name still stands for `address`."""
        return address in self._known

    def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    async def _look_up(self) -> None:
        try:
            found = await look_up(self._host, self._port)
        except (OSError, UnicodeError):
            self._failed("the upstream's name cannot be resolved")
        else:
            self._found(found)
        finally:
            self._looking = None

    def _found(self, found: list[str]) -> None:
        before = self._known
        allowed = [address for address in dict.fromkeys(found) if self._may(address)]
        self._known = in_turn(allowed)[:ADDRESSES_MAX]
        if allowed:
            self.due_s = math.inf if self._literal else self._clock.monotonic_s() + self._ttl_s
        else:
            self._failed("the upstream's name stands for no address that the gateway may call (allow_private)")
        if not set(before) <= set(self._known):
            self._moved()

    def _may(self, address: str) -> bool:
        return self._literal or may_stand_for(address, allow_private=self._allow_private)

    def _failed(self, problem: str) -> None:
        self._problem = problem
        self.due_s = self._clock.monotonic_s() + min(self._ttl_s, RETRY_S)


def in_turn(addresses: list[str]) -> list[str]:
    """Both families by turns, the first address's family first (RFC 8305, 4)."""
    first = [address for address in addresses if (":" in address) == (":" in addresses[0])]
    second = [address for address in addresses if address not in first]
    return [address for address in chain(*zip_longest(first, second)) if address is not None]
