"""Edge: file descriptors: as many as the tap needs, and how many clients those that it gets are enough for."""

import resource
from typing import Final

RESERVE: Final = 128
"""For Kafka, the journal, logs, listeners and look-ups."""
EACH: Final = 2
"""A client may need one more for its upstream."""


def room_for_clients(wanted: int) -> int:
    """How many of `wanted` clients can be served. Raises this process's soft limit as far as it needs to and may."""
    needed = EACH * wanted + RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, (soft - RESERVE) // EACH))
