"""Pure: how long one client is waited for: for a head, a body, its next request, or for it to take what it is given.

A client may be slow, never endlessly so: a head has a time in all, a body and an answer must move at a least rate
(slowloris, R-U-DEAD-YET and slow readers hold nothing for long). Time in which the tap itself does not read or does not
serve the client yet counts for nothing.
"""

from typing import Final, Literal

from penstock.schemas.tap_settings import Timeouts

from .deadlines import NEVER

LINGER_S: Final = 2.0

LOOK_S: Final = 0.5

Late = Literal["head", "body", "next", "taking", "look"]


class Patience:
    """The deadlines of one connection. All times are of `Clock.monotonic_s`; `due_s` is the earliest of what is waited
    for."""

    __slots__ = ("_limits", "_moved_bytes", "_read_due_s", "_since_s", "_unsent_bytes", "_waiting", "_write_due_s")

    def __init__(self, limits: Timeouts, now_s: float) -> None:
        self._limits = limits
        self._waiting: Late = "next"
        self._read_due_s = now_s + limits.client_header_s
        self._write_due_s = NEVER
        self._since_s = now_s
        self._moved_bytes = 0
        self._unsent_bytes = 0

    @property
    def due_s(self) -> float:
        return min(self._read_due_s, self._write_due_s)

    def nothing(self) -> None:
        """The client owes nothing."""
        self._read_due_s = NEVER

    def unread(self, now_s: float) -> None:
        """The client is not read from: it owes nothing, but somebody must look whether it is still there."""
        self._waiting = "look"
        self._read_due_s = now_s + LOOK_S

    def linger(self, now_s: float) -> None:
        """The client still sends what nobody reads any more: for a moment only."""
        self._read_due_s = now_s + LINGER_S

    def head(self, from_s: float) -> None:
        """A head has begun, or its turn has, at `from_s`."""
        self._waiting = "head"
        self._read_due_s = from_s + self._limits.client_header_s

    def next_request(self, now_s: float) -> None:
        """An answer has ended; the connection is kept for another request."""
        self._waiting = "next"
        self._read_due_s = now_s + self._limits.keep_alive_s

    def body(self, now_s: float) -> None:
        """A body is waited for, from now on."""
        self._waiting = "body"
        self._since_s = now_s
        self._moved_bytes = 0
        self._read_due_s = now_s + self._limits.client_body_idle_s

    def body_moved(self, count_bytes: int, now_s: float) -> None:
        """More of the body has come. Its next byte has `client_body_idle_s`, all of it what the least rate says."""
        limits = self._limits
        self._moved_bytes += count_bytes
        allowed_s = limits.client_body_idle_s + self._moved_bytes / limits.client_min_bytes_per_s
        self._read_due_s = min(now_s + limits.client_body_idle_s, self._since_s + allowed_s)

    def full(self, unsent_bytes: int, now_s: float) -> None:
        """The client does not take what it is given as fast as it comes: `unsent_bytes` wait."""
        self._unsent_bytes = unsent_bytes
        self._write_due_s = now_s + self._limits.client_stall_s

    def taken(self) -> None:
        """The client has taken enough."""
        self._write_due_s = NEVER

    def late(self, unsent_bytes: int, now_s: float) -> Late | None:
        """What the client is late with; None where it has taken enough to be given more time."""
        if self._write_due_s > now_s:
            return self._waiting
        limits = self._limits
        if self._unsent_bytes - unsent_bytes < limits.client_min_bytes_per_s * limits.client_stall_s:
            return "taking"
        self.full(unsent_bytes, now_s)
        return None
