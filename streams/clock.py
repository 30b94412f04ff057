"""Edge: the wall clock."""

import time


def now_us() -> int:
    """Microseconds since the epoch, UTC."""
    return time.time_ns() // 1000
