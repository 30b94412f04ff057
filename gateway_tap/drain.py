"""Edge: how a tap stops: running exchanges may end, new ones are refused, what still runs at the limit is cut."""

import asyncio

from .core import Core


class Stop:
    """Told by SIGTERM or SIGINT. The first asks for a drain, the second cuts what still runs at once."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()

    def __call__(self) -> None:
        (self.at_once if self.asked.is_set() else self.asked).set()


async def drain(core: Core, server: asyncio.Server, stop: Stop, within_s: float) -> None:
    """Returns once nothing runs any more. Connections that are kept alive stay open meanwhile, so that a request which
    is already on its way gets a 503 with Retry-After, and not a reset."""
    core.gate.stopping = True
    server.close()
    if core.running:
        cut, quiet = asyncio.ensure_future(stop.at_once.wait()), asyncio.ensure_future(core.quiet.wait())
        await asyncio.wait([cut, quiet], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        cut.cancel()
        quiet.cancel()
    for relay in list(core.running.values()):
        relay.stop()
    for client in list(core.clients):
        client.stop()
    for pool in core.pools.values():
        pool.close()
    core.deadlines.close()
