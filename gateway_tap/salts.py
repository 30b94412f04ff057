"""Edge: randomness for commitments, drawn from the system in batches."""

import base64
import os
from typing import Final

SALT_BYTES: Final = 16
BATCH: Final = 256


class Salts:
    """Gives the base64 text of 16 fresh random bytes per call; one system call per 256 salts."""

    __slots__ = ("_ready",)

    def __init__(self) -> None:
        self._ready: list[bytes] = []

    def __call__(self) -> bytes:
        """The next salt; never one that was given before."""
        if not self._ready:
            drawn = os.urandom(SALT_BYTES * BATCH)
            self._ready = [
                base64.b64encode(drawn[start : start + SALT_BYTES]) for start in range(0, len(drawn), SALT_BYTES)
            ]
        return self._ready.pop()
