"""Finds bytes in a body however they are written there: as they are, with JSON escapes, percent-encoded, or mixed.

Escapes are those of RFC 8259, 7 (of ASCII and Latin-1 characters) and RFC 3986, 2.1.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

Place = tuple[int, int]
"""First byte and the byte after the last."""

_WITHOUT_BACKSLASH: Final = re.compile(rb'\\[/"]|\\u00[0-9a-fA-F]{2}|%[0-9a-fA-F]{2}')
_ESCAPE: Final = re.compile(rb"\\\\|" + _WITHOUT_BACKSLASH.pattern)
_HALF_ESCAPE: Final = re.compile(rb"(?:\\+(?:u[0-9a-fA-F]{0,3})?|%[0-9a-fA-F]?)\Z")
_FEW_BYTES: Final = 14
"""Enough for two bytes in their longest writing, and half an escape."""
_FORMS: Final = (_ESCAPE, _WITHOUT_BACKSLASH)
"""Where a body was cut, or is no JSON, two backslashes may be two."""


@dataclass(frozen=True, slots=True)
class _Clear:
    """A body without its escapes. Behind the escape number i, `ends[i]` in the body is `behind[i]` in `text`."""

    text: bytes
    behind: list[int]
    ends: list[int]

    def place(self, at: int) -> int:
        """Where the byte at `at` begins in the body, which is where the one before it ends."""
        number = bisect_right(self.behind, at)
        return at + (self.ends[number - 1] - self.behind[number - 1] if number else 0)


class Haystack:
    """A body to look into. The cost of taking its escapes off does not grow with how much is looked for."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        forms = (_clear(body, escape) for escape in _FORMS) if b"\\" in body or b"%" in body else ()
        self._clear = [form for form in forms if form is not None]

    def find(self, needle: bytes) -> list[Place]:
        """The places of `needle`, in no order; some may be named twice. One that looks like an escape itself is looked
        for as it is and as what it would stand for."""
        places = [*_found(self._body, needle)]
        for form in self._clear:
            for wanted in {needle, _unescaped(needle)}:
                places += [(form.place(start), form.place(end)) for start, end in _found(form.text, wanted)]
        return places


def _clear(body: bytes, escape: re.Pattern[bytes]) -> _Clear | None:
    """None where `body` has no such escape."""
    pieces: list[bytes] = []
    behind: list[int] = []
    ends: list[int] = []
    size, done = 0, 0
    for found in escape.finditer(body):
        start, end = found.span()
        pieces += (body[done:start], _byte(found))
        size += start - done + 1
        behind.append(size)
        ends.append(end)
        done = end
    return _Clear(b"".join((*pieces, body[done:])), behind, ends) if ends else None


def _found(text: bytes, part: bytes) -> Iterator[Place]:
    at = text.find(part)
    while at >= 0:
        yield at, at + len(part)
        at = text.find(part, at + len(part))


def begins_at(text: bytes, needles: Sequence[bytes], longest: int) -> int:
    """Where at the end of `text` one of `needles` may have begun, in whatever writing, so that what comes next may
    complete it; the length of `text` where none has. A writing takes at most `longest` bytes."""
    first = max(len(text) - longest, 0)
    tail = text[first:]
    if b"\\" not in tail and b"%" not in tail:
        return first + min((_plain_start(tail, needle) for needle in needles), default=len(tail))
    starts = {b"\\"[0], b"%"[0], *(needle[0] for needle in needles)}
    for at, byte in enumerate(tail):
        if byte in starts and any(_may_begin(tail[at:], needle) for needle in needles):
            return first + at
    return len(text)


def _plain_start(tail: bytes, needle: bytes) -> int:
    at = tail.find(needle[:1], max(len(tail) - len(needle) + 1, 0))
    while at >= 0:
        if needle.startswith(tail[at:]):
            return at
        at = tail.find(needle[:1], at + 1)
    return len(tail)


def _may_begin(tail: bytes, needle: bytes) -> bool:
    """Whether `tail`, but for half an escape at its end, is a beginning of `needle`. Looks at a few bytes first."""
    return (len(tail) <= _FEW_BYTES or _begins(tail[:_FEW_BYTES], needle, 2)) and _begins(tail, needle, len(needle))


def _begins(tail: bytes, needle: bytes, upto: int) -> bool:
    whole = _HALF_ESCAPE.sub(b"", tail)
    clear = {tail, whole, *(escape.sub(_byte, known) for escape in _FORMS for known in (tail, whole))}
    return any(wanted.startswith(known[:upto]) for wanted in {needle, _unescaped(needle)} for known in clear)


@lru_cache(maxsize=4096)
def _unescaped(needle: bytes) -> bytes:
    return _ESCAPE.sub(_byte, needle)


def _byte(escape: re.Match[bytes]) -> bytes:
    """The byte that an escape stands for."""
    written = escape[0]
    return written[1:] if len(written) == 2 else bytes((int(written[-2:], 16),))
