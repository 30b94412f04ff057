"""Edge: what one turn of the event loop writes goes out at its end, connection by connection.

One write per connection and turn instead of one per piece; and the peers of a turn are woken together, which on a busy
tap is most of what a write costs (docs/decisions/0009-speed.md). Nothing waits longer than the turn.
"""

import asyncio
from typing import Final

GATHERED_MAX_BYTES: Final = 16_384
"""A longer piece goes out at once, so that a peer that takes nothing is noticed within one read."""


class Turn:
    """The outlets that have something to write in this turn."""

    __slots__ = ("_outlets",)

    def __init__(self) -> None:
        self._outlets: list[Outlet] = []

    def add(self, outlet: "Outlet") -> None:
        """`outlet` is flushed at the end of the turn."""
        if not self._outlets:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outlets.append(outlet)

    def _flush(self) -> None:
        outlets, self._outlets = self._outlets, []
        for outlet in outlets:
            outlet.flush()


class Outlet:
    """A transport whose writes are gathered. Everything else that is asked of it happens after what was written."""

    __slots__ = ("_pieces", "_turn", "transport")

    def __init__(self, transport: asyncio.Transport, turn: Turn) -> None:
        self.transport = transport
        self._turn = turn
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        """`data` goes out at the end of this turn, or at once if it is long."""
        if not self._pieces:
            self._turn.add(self)
        self._pieces.append(data)
        if len(data) > GATHERED_MAX_BYTES:
            self.flush()

    def flush(self) -> None:
        """What was written goes out now."""
        pieces = self._pieces
        if pieces:
            self._pieces = []
            if not self.transport.is_closing():
                self.transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def write_eof(self) -> bool:
        """Closes the sending side, where the transport has one (TLS has none); returns whether it has."""
        self.flush()
        if not self.transport.can_write_eof():
            return False
        self.transport.write_eof()
        return True

    def close(self) -> None:
        self.flush()
        self.transport.close()

    def abort(self) -> None:
        self.flush()
        self.transport.abort()

    @property
    def closing(self) -> bool:
        return self.transport.is_closing()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the peer's side has not taken."""
        return self.transport.get_write_buffer_size() + sum(map(len, self._pieces))

    def pause_reading(self) -> None:
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        self.transport.resume_reading()
