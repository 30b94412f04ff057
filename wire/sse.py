"""Server-sent events, byte for byte: WHATWG HTML, "Server-sent events", 9.2.5 and 9.2.6.

Events are cut out of a stream without changing a byte.
"""

MAX_EVENT_BYTES = 1_048_576


class EventSplitter:
    """Cuts a stream into events, each with its ending blank line."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.rest = b""
        self._max = max_event_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """The events that `data` completes."""
        raise NotImplementedError

    @property
    def at_border(self) -> bool:
        """No event has begun: an ending of our own may be written here."""
        return not self.rest

    def finish(self) -> bytes:
        """The bytes that follow the last event."""
        raise NotImplementedError


def event_data(event: bytes) -> bytes:
    """The joined `data:` lines of one event; empty for comments and pings without data."""
    raise NotImplementedError
