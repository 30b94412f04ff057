"""Edge: random trace and span ids, drawn from the system in batches and written as hex once per batch."""

import os
from typing import Final

TRACE_CHARS: Final = 32
SPAN_CHARS: Final = 16
BATCH: Final = 256
_CHARS: Final = TRACE_CHARS + SPAN_CHARS


class TraceIds:
    """Gives a fresh trace id and a fresh span id per call; one system call per 256 pairs."""

    __slots__ = ("_drawn", "_left")

    def __init__(self) -> None:
        self._drawn = ""
        self._left = 0

    def __call__(self) -> tuple[str, str]:
        """The next pair; never one that was given before."""
        if not self._left:
            self._drawn, self._left = os.urandom(_CHARS // 2 * BATCH).hex(), BATCH
        self._left -= 1
        start = self._left * _CHARS
        middle = start + TRACE_CHARS
        return self._drawn[start:middle], self._drawn[middle : middle + SPAN_CHARS]
