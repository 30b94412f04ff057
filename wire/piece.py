"""Tokens of one pre-token that grows without end: line ends, `=====`, a script without spaces.

Byte-pair encoding has this property: a sequence of tokens is the encoding of its text exactly if each two neighbours
are the encoding of theirs. So the last token of every prefix follows from those of shorter prefixes, and one more byte
costs a bounded search, however long the piece already is.
"""

from functools import lru_cache
from typing import Final, Protocol

import regex

from .pretokens import pattern, stable
from .vocabulary import token_ranks, vocabulary

_KEPT_TIMES: Final = 8


class PieceCount:
    """The token count of one pre-token, and of its last prefixes: as many as the next byte can reach back to."""

    __slots__ = ("_longest", "_name", "_ranks", "counts", "data", "last")

    def __init__(self, name: str) -> None:
        self._name = name
        self._ranks = token_ranks(name)
        self._longest = _longest(name)
        self.data = bytearray()
        self.last = [b""]
        self.counts = [0]

    def add(self, data: bytes) -> None:
        """More bytes of the same piece."""
        for byte in data:
            self.data.append(byte)
            self._grow()

    def _grow(self) -> None:
        end = len(self.data)
        for size in range(min(end, self._longest), 0, -1):
            token = bytes(self.data[end - size :])
            if token in self._ranks and _neighbours(self._name, self.last[-size], token):
                self.last.append(token)
                self.counts.append(self.counts[-size] + 1)
                if len(self.last) > _KEPT_TIMES * self._longest:
                    del self.last[: -self._longest]
                    del self.counts[: -self._longest]
                return
        raise AssertionError("a prefix without encoding: every single byte is a token")


class Run(Protocol):
    """A long text that is one pre-token, or white space, and may go on as such."""

    @property
    def size_bytes(self) -> int:
        """How long it is."""

    @property
    def tokens(self) -> int:
        """Tokens of the run as it stands."""

    def add(self, text: str) -> bool:
        """Takes `text` in if it is more of the same; else leaves the run as it was."""

    def leave(self, text: str) -> tuple[int, str]:
        """Ends the run before `text`, which is no more of it: tokens settled, and the text that is not."""


class PieceRun:
    """A pre-token that goes on as one while only characters of one kind follow."""

    __slots__ = ("_count", "_more")

    def __init__(self, name: str, text: str, more: "regex.Pattern[str]") -> None:
        self._count = PieceCount(name)
        self._count.add(text.encode())
        self._more = more

    @property
    def size_bytes(self) -> int:
        return len(self._count.data)

    @property
    def tokens(self) -> int:
        return self._count.counts[-1]

    def add(self, text: str) -> bool:
        if not self._more.fullmatch(text):
            return False
        self._count.add(text.encode())
        return True

    def leave(self, text: str) -> tuple[int, str]:
        return 0, self._count.data.decode() + text


class SpaceRun:
    """White space of spaces, tabs and line ends.

    Up to its last line end it is one pre-token. What follows is one of its own if the text ends there (cl100k_base:
    then all is one), and gives its last character to what comes next.
    """

    __slots__ = ("_after", "_line_tokens", "_name", "_whole")

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._whole = PieceCount(name)
        self._after = PieceCount(name)
        self._line_tokens = 0
        self.add(text)

    @property
    def size_bytes(self) -> int:
        return len(self._whole.data)

    @property
    def tokens(self) -> int:
        if self._name == "cl100k_base":
            return self._whole.counts[-1]
        return self._line_tokens + self._after.counts[-1]

    def add(self, text: str) -> bool:
        if text.strip(" \t\r\n"):
            return False
        for line in text.splitlines(keepends=True):
            data = line.encode()
            self._whole.add(data)
            if line.endswith(("\n", "\r")):
                self._line_tokens = self._whole.counts[-1]
                self._after = PieceCount(self._name)
            else:
                self._after.add(data)
        return True

    def leave(self, text: str) -> tuple[int, str]:
        if text[0].isspace():
            return 0, self._whole.data.decode() + text
        last = self._after.data[-1:].decode()
        return self._line_tokens + self._after.counts[-2 if last else -1], last + text


def _kinds(*kinds: tuple[str, str]) -> "tuple[tuple[regex.Pattern[str], regex.Pattern[str]], ...]":
    return tuple((regex.compile(first + same + "+"), regex.compile(same + "+")) for first, same in kinds)


_LINES: Final = (r"[^\s\p{L}\p{N}]", r"[\r\n]")
_KINDS: Final = {
    "o200k_base": _kinds(
        (r".?", r"[\p{Lo}\p{Lm}\p{M}]"), (r".?", r"\p{Ll}"), (r".?", r"\p{Lu}"), (r".?", r"[\p{P}\p{S}]"), _LINES
    ),
    "cl100k_base": _kinds((r".?", r"\p{L}"), (r".?", r"[\p{P}\p{S}\p{M}\p{Cf}]"), _LINES),
}
"""Pieces that stay one while only the same kind of character follows; the first character may be another."""


def run_of(name: str, text: str) -> Run | None:
    """The run that `text` is, or None. `text` starts where a pre-token does."""
    if not text.strip(" \t\r\n"):
        return SpaceRun(name, text)
    if stable(text) < len(text):
        return None
    for whole, more in _KINDS[name]:
        if whole.fullmatch(text):
            found = pattern(name).match(text)
            return PieceRun(name, text, more) if found and found.end() == len(text) else None
    return None


@lru_cache(maxsize=4)
def _longest(name: str) -> int:
    return max(map(len, token_ranks(name)))


@lru_cache(maxsize=65_536)
def _neighbours(name: str, left: bytes, right: bytes) -> bool:
    """Whether `left` then `right` is how their joined bytes are encoded."""
    ranks = token_ranks(name)
    found = vocabulary(name)._encode_single_piece(left + right)
    return found == ([ranks[left], ranks[right]] if left else [ranks[right]])
