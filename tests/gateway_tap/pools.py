"""What the tests of pools share: a clock that can be put forward, and someone who asks for a connection."""

import asyncio

from penstock.gateway_tap.attempts import Cause
from penstock.gateway_tap.clock import Clock
from penstock.gateway_tap.pool import Pool
from penstock.gateway_tap.upstream import Upstream


class Late(Clock):
    ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s


class Caller:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: asyncio.Future[Upstream | str] = asyncio.get_running_loop().create_future()

    def upstream_connected(self, upstream: Upstream) -> None:
        self.told.set_result(upstream)

    def upstream_lost(self, reason: str, timeout: bool, cause: Cause) -> None:
        self.told.set_result(f"{reason} {timeout} {cause}")

    def fault(self) -> None:
        self.told.set_result("fault")


async def connected(pool: Pool) -> Upstream | str:
    caller = Caller()
    pool.connect(caller)
    return await asyncio.wait_for(caller.told, 5)
