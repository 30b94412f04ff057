"""Edge: a bounded wait for an acknowledgement, with callbacks instead of a coroutine per exchange."""

import asyncio
from collections.abc import Callable


class Wait:
    """Calls `then(True)` when `future` is done, `then(False)` after `within_s`; nothing after `cancel`."""

    __slots__ = ("_future", "_then", "_timer")

    def __init__(self, future: "asyncio.Future[None]", within_s: float, then: Callable[[bool], None]) -> None:
        self._future = future
        self._then: Callable[[bool], None] | None = then
        self._timer = asyncio.get_running_loop().call_later(within_s, self._over, False)
        future.add_done_callback(self._acknowledged)

    def cancel(self) -> None:
        """Nobody waits any more."""
        self._then = None
        self._timer.cancel()
        self._future.cancel()

    def _acknowledged(self, future: "asyncio.Future[None]") -> None:
        if not future.cancelled():
            self._over(True)

    def _over(self, acknowledged: bool) -> None:
        then, self._then = self._then, None
        self._timer.cancel()
        if then is not None:
            then(acknowledged)
