import asyncio

from penstock.gateway_tap.clock import Clock
from penstock.gateway_tap.deadlines import NEVER, Deadlines
from penstock.schemas.tap_settings import Timeouts


class Waiting:
    def __init__(self, deadline_s: float) -> None:
        self.deadline_s = deadline_s
        self.expired = asyncio.Event()

    def expire(self) -> None:
        self.deadline_s = NEVER
        self.expired.set()

    def fault(self) -> None:
        raise AssertionError


class Failing(Waiting):
    """Fails when its time has come."""

    def expire(self) -> None:
        raise ZeroDivisionError

    def fault(self) -> None:
        self.expired.set()


async def test_what_waits_too_long_is_ended_and_nothing_else() -> None:
    clock = Clock()
    deadlines = Deadlines(clock, Timeouts(idle_s=0.02))
    soon, never, gone = Waiting(clock.monotonic_s() + 0.03), Waiting(NEVER), Waiting(clock.monotonic_s())
    for waiting in (soon, never, gone):
        deadlines.add(waiting)
    deadlines.remove(gone)
    deadlines.start()
    await asyncio.wait_for(soon.expired.wait(), 5)
    assert not never.expired.is_set()
    assert not gone.expired.is_set()
    deadlines.close()


async def test_one_that_fails_does_not_keep_the_others_from_their_deadlines() -> None:
    clock = Clock()
    deadlines = Deadlines(clock, Timeouts(idle_s=0.02))
    failing = Failing(clock.monotonic_s())
    deadlines.add(failing)
    deadlines.start()
    await asyncio.wait_for(failing.expired.wait(), 5)
    later = Waiting(clock.monotonic_s())
    deadlines.add(later)
    await asyncio.wait_for(later.expired.wait(), 5)
    deadlines.close()
