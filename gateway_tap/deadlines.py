"""Edge: looks through everything that waits for a peer, a few times a second, and ends what has waited too long.

One sweep over plain numbers costs less than a timer per request, and a deadline moves by an assignment.
"""

import asyncio
import math
from typing import Final, Protocol

import structlog

from penstock.schemas.tap_settings import Timeouts

from .clock import Clock

NEVER: Final = math.inf
SWEEP_MAX_S: Final = 0.5

log = structlog.get_logger("penstock.tap.deadlines")


class Waiting(Protocol):
    """Something with a deadline. `expire` is called once it has passed, and must move the deadline or go away. Where
    that fails, `fault` ends it."""

    @property
    def deadline_s(self) -> float: ...

    def expire(self) -> None: ...

    def fault(self) -> None: ...


class Deadlines:
    """The set of what waits. Deadlines are times of `clock.monotonic_s`, kept to within one sweep."""

    def __init__(self, clock: Clock, timeouts: Timeouts) -> None:
        self._every_s = SWEEP_MAX_S
        self.heed(timeouts)
        self._clock = clock
        self._waiting: set[Waiting] = set()
        self._task: asyncio.Task[None] | None = None

    def heed(self, timeouts: Timeouts) -> None:
        """Looks often enough for these limits too."""
        shortest_s = min(
            timeouts.first_byte_s,
            timeouts.idle_s,
            timeouts.total_s,
            timeouts.client_header_s,
            timeouts.client_body_idle_s,
            timeouts.client_stall_s,
            timeouts.keep_alive_s,
        )
        self._every_s = min(self._every_s, shortest_s / 4)

    def add(self, waiting: Waiting) -> None:
        self._waiting.add(waiting)

    def remove(self, waiting: Waiting) -> None:
        self._waiting.discard(waiting)

    def start(self) -> None:
        """Begins to sweep."""
        self._task = asyncio.create_task(self._run())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            now_s = self._clock.monotonic_s()
            for waiting in [waiting for waiting in self._waiting if waiting.deadline_s <= now_s]:
                self._expire(waiting)

    def _expire(self, waiting: Waiting) -> None:
        try:
            waiting.expire()
        except Exception as error:
            # Supervisor: the one that failed ends; all others keep their deadlines.
            log.error("fault", error=type(error).__name__, exc_info=True)
            self._waiting.discard(waiting)
            waiting.fault()
