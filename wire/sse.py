"""Server-sent events, byte for byte (WHATWG HTML, 9.2.5 "Parsing an event stream", 9.2.6 "Interpreting").

A stream is cut behind every blank line, without changing a byte: lines end by LF, CRLF or CR, mixed as they like.
A piece holds at most one event; comments, pings and stray blank lines are pieces too.
"""

import re
from typing import Final

MAX_EVENT_BYTES: Final = 1_048_576

_BLANK: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r(?=.))", re.DOTALL)
"""Two line ends. A CR at the end of what is known may be half a CRLF, so it waits for one more byte."""
_BLANK_MAX_BYTES: Final = 4
_BOM: Final = b"\xef\xbb\xbf"


class EventSplitter:
    """Cuts a stream into events, each with its ending blank line.

    Pieces do not depend on how the stream was cut into reads, and pieces + `rest` are the stream. A piece of
    `max_event_bytes` without a blank line is given out as it is (fewer the line ends it closes with), so memory stays
    bounded; until that event's blank line, `at_border` is False.
    """

    __slots__ = ("_inside", "_max", "_rest", "_seen")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        if max_event_bytes < 2 * _BLANK_MAX_BYTES:
            raise ValueError("max_event_bytes must hold a few line ends: 8 or more")
        self._max = max_event_bytes
        self._rest = bytearray()
        self._seen = 0
        self._inside = False

    @property
    def rest(self) -> bytes:
        """The bytes that no blank line has ended yet."""
        return bytes(self._rest)

    @property
    def rest_bytes(self) -> int:
        """How many bytes no blank line has ended yet."""
        return len(self._rest)

    @property
    def at_border(self) -> bool:
        """No event is half given out or half received: an event of our own may be written here."""
        return not self._inside and not self._rest.strip(b"\r\n")

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that `data` completes, in order."""
        if not self._rest and not self._inside and len(data) <= self._max and b"\r" not in data:
            pieces = data.split(b"\n\n")
            self._rest += pieces.pop()
            self._seen = len(self._rest)
            return [piece + b"\n\n" for piece in pieces]
        self._rest += data
        return self._cut()

    def finish(self) -> bytes:
        """The bytes behind the last piece; the splitter is empty afterwards."""
        rest = bytes(self._rest)
        self._rest.clear()
        self._seen = 0
        return rest

    def _cut(self) -> list[bytes]:
        rest, pieces = self._rest, []
        start, scan = 0, max(0, self._seen - _BLANK_MAX_BYTES + 1)
        while True:
            found = _BLANK.search(rest, scan)
            end = found.end() if found else len(rest)
            if end - start > self._max:
                end = start + len(rest[start : start + self._max].rstrip(b"\r\n"))
                self._inside = True
            elif found:
                self._inside = False
            else:
                break
            pieces.append(bytes(rest[start:end]))
            start = scan = end
        del rest[:start]
        self._seen = len(rest)
        return pieces


def event_data(event: bytes) -> bytes:
    """The `data` lines of one event joined by LF; empty where it has none (comments, pings without data).

    A byte order mark before the first line is skipped, as at the start of a stream.
    """
    if event.startswith(b"data: ") and event.endswith(b"\n\n"):
        data = event[6:-2]
        if b"\n" not in data and b"\r" not in data:
            return data
    lines = event.removeprefix(_BOM).splitlines()
    return b"\n".join(_value(line) for line in lines if line.startswith(b"data:") or line == b"data")


def _value(line: bytes) -> bytes:
    value = line[5:]
    return value[1:] if value.startswith(b" ") else value
