"""Edge: the clock. The tap's only readings of time; tests give their own."""

import time
from datetime import UTC, datetime


class Clock:
    """Wall clock and monotonic clock. `stamp` formats a second once, however many events fall into it."""

    __slots__ = ("_prefix", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._prefix = b""

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC."""
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        """Seconds that only grow; for durations and deadlines."""
        return time.monotonic()

    def stamp(self, time_us: int) -> bytes:
        """`time_us` as RFC 3339 text with microseconds (the same text as `ids.rfc3339`)."""
        second, fraction_us = divmod(time_us, 1_000_000)
        if second != self._second:
            self._second = second
            self._prefix = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
        return b"%b.%06dZ" % (self._prefix, fraction_us)
