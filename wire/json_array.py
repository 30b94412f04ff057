"""A JSON array that arrives as a stream, byte for byte (RFC 8259; Google's `streamGenerateContent` without `alt=sse`).

The array is cut behind every element without changing a byte: `[{…}`, then `,{…}` with whatever stands between, at last
`]`. Elements are objects or arrays; a piece ends at most one.
"""

import re
from typing import Final

MAX_ELEMENT_BYTES: Final = 1_048_576

_SPACE: Final = b" \t\r\n"
_SIGN: Final = re.compile(rb'["{}\[\]]')
_OPENING: Final = b"{["
_TEXT: Final = re.compile(rb'(?:[^"\\]|\\.)*+', re.DOTALL)
"""The inside of a string, up to its closing quote or to what is known; a lone backslash waits for one more byte."""


class ArraySplitter:
    """Cuts an array into pieces, each ending with an element or with the array itself.

    Pieces do not depend on how the stream was cut into reads, and pieces + `rest` are the stream. An element of more
    than `max_element_bytes` is given out in pieces of that size, so memory stays bounded; so is a body that is no
    array. Until such an element's end, `at_border` is False.
    """

    __slots__ = ("_depth", "_ended", "_foreign", "_inside", "_max", "_quoted", "_rest", "_scanned")

    def __init__(self, max_element_bytes: int = MAX_ELEMENT_BYTES) -> None:
        if max_element_bytes < 1:
            raise ValueError("max_element_bytes must be 1 or more")
        self._max = max_element_bytes
        self._rest = bytearray()
        self._scanned = 0
        self._depth = 0
        self._quoted = False
        self._ended = False
        self._foreign = False
        self._inside = False

    @property
    def rest(self) -> bytes:
        """The bytes that no element has ended yet."""
        return bytes(self._rest)

    @property
    def rest_bytes(self) -> int:
        """How many bytes no element has ended yet."""
        return len(self._rest)

    @property
    def at_border(self) -> bool:
        """No element is half given out or half received: one of our own may be written here."""
        whole = not (self._inside or self._foreign) and self._depth <= 1
        return whole and bytes(self._rest.strip(_SPACE)) in (b"", b"[", b",")

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that `data` completes, in order."""
        rest, pieces, start = self._rest, [], 0
        rest += data
        while True:
            end = self._next_end()
            known = len(rest) if end is None else end
            while known - start > self._max:
                pieces.append(bytes(rest[start : start + self._max]))
                start += self._max
                self._inside = True
            if end is None:
                break
            pieces.append(bytes(rest[start:end]))
            start, self._inside = end, False
        del rest[:start]
        self._scanned -= start
        return pieces

    def finish(self) -> bytes:
        """The bytes behind the last piece. Nothing may be fed afterwards."""
        rest = bytes(self._rest)
        self._rest.clear()
        self._scanned = 0
        return rest

    def closing(self, element: bytes) -> bytes:
        """What ends the array here, with `element` as its last; empty where none can stand: in the middle of another,
        and in a body that is no array. Behind an array that has ended it is a line end, which says nothing."""
        if not self.at_border:
            return b""
        if self._ended:
            return b"\n"
        if self._depth == 0:
            return b"[" + element + b"]\n"
        return (b"" if self._rest.strip(_SPACE) else b",\n") + element + b"]\n"

    def _next_end(self) -> int | None:
        """Where the next element ends, or the array; None where that is not known yet."""
        rest, at = self._rest, self._scanned
        while not self._foreign and not self._ended:
            if self._quoted:
                at = _TEXT.match(rest, at).end()  # type: ignore[union-attr]  # it matches nothing, at least
                if rest[at : at + 1] != b'"':
                    break
                self._quoted, at = False, at + 1
            found = _SIGN.search(rest, at)
            if not self._depth:
                begin = rest.lstrip(_SPACE)[:1]
                self._foreign = bool(begin) and begin != b"["
            if found is None or self._foreign:
                at = len(rest)
                break
            at = found.end()
            if self._ends(found[0]):
                self._scanned = at
                return at
        self._scanned = at
        return None

    def _ends(self, sign: bytes) -> bool:
        if sign == b'"':
            self._quoted = True
            return False
        if sign in _OPENING:
            self._depth += 1
            return False
        self._depth -= 1
        self._ended = self._depth == 0
        return self._depth <= 1


def between_elements() -> ArraySplitter:
    """A splitter that stands behind the first of several elements: for an array that is cut there."""
    splitter = ArraySplitter()
    splitter.feed(b"[{}")
    return splitter


def element(piece: bytes) -> bytes:
    """The element that a piece ends, without what joins it to the one before it."""
    return piece.lstrip(b"[," + _SPACE)
