"""Edge: opens one connection to one of several addresses: in turn, the next one also when the one before takes long
(RFC 8305, 5); the first that stands wins, the others are closed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

STAGGER_S: Final = 0.25


class Closable(Protocol):
    def close(self) -> None: ...


Opened = TypeVar("Opened", bound=Closable)


async def dial(addresses: list[str], connect: Callable[[str], Awaitable[Opened]]) -> Opened:
    """The first connection that stands. OSError, of the last address that failed, where none does."""
    if len(addresses) == 1:
        return await connect(addresses[0])
    waiting: set[asyncio.Task[Opened]] = set()
    error: OSError | None = None
    try:
        for left in range(len(addresses) - 1, -1, -1):
            waiting.add(asyncio.ensure_future(connect(addresses[len(addresses) - 1 - left])))
            while waiting:
                done, waiting = await asyncio.wait(
                    waiting, timeout=STAGGER_S if left else None, return_when=asyncio.FIRST_COMPLETED
                )
                won = [task for task in done if task.exception() is None]
                for task in won[1:]:
                    task.result().close()
                if won:
                    return won[0].result()
                error = next((_os_error(task) for task in done), error)
                if left:
                    break
    finally:
        for task in waiting:
            task.add_done_callback(_close)
            task.cancel()
    assert error is not None
    raise error


def _os_error(task: "asyncio.Task[Opened]") -> OSError:
    error = task.exception()
    assert error is not None
    if not isinstance(error, OSError):
        raise error
    return error


def _close(task: "asyncio.Task[Opened]") -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
