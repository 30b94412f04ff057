"""The exact token count of a text that arrives in pieces, at bounded cost per piece."""

import re
from typing import Final

from .bounded import BoundedCount
from .piece import Run, run_of
from .pretokens import BLOCK_CHARS, block_end, settled, space_border
from .vocabulary import vocabulary

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
SETTLE_CHARS: Final = 128
"""A longer tail without a space is looked at for other borders."""
RUN_CHARS: Final = 256
"""A longer tail without any border is counted byte by byte."""
TAIL_CHARS: Final = 4_096
"""A longer tail without any border is settled all the same: the one place where a count can be off, by a token or two
per such stretch. It takes 4,096 characters in a row without one space or other border that also change their kind."""
RUN_MAX_BYTES: Final = 1_048_576
"""A longer run is settled likewise."""
BULK_CHARS: Final = 2_048
"""A larger addition is settled in blocks; where it has no border, that can put the count off by a token or two."""


class JoinedCount:
    """`tokens` equals `len(encode_ordinary(all text so far))` at every moment.

    Half a surrogate pair at the end waits for its other half (providers cut texts anywhere), and counts once something
    has followed; halves that stay alone count as U+FFFD, which is what the encoder makes of them.

    What more text cannot change is counted once and forgotten; the tail behind it is counted when asked for.
    """

    __slots__ = ("_done", "_encode", "_half", "_large", "_measured", "_name", "_run", "_tail", "_tail_tokens")

    def __init__(self, name: str) -> None:
        self._name = name
        self._encode = vocabulary(name).encode_ordinary
        self._large = BoundedCount(name)
        self._done = 0
        self._half = ""
        self._tail = ""
        self._tail_tokens = 0
        self._measured = 0
        self._run: Run | None = None

    def add(self, text: str) -> None:
        """More text, as it arrives."""
        if self._half or not text.isascii():
            text = self._paired(text)
        if not text:
            return
        if self._run is not None:
            if self._run.add(text):
                if self._run.size_bytes > RUN_MAX_BYTES:
                    self._done += self._run.tokens
                    self._run = None
                return
            tokens, text = self._run.leave(text)
            self._done += tokens
            self._run = None
        if len(text) > BULK_CHARS:
            text = self._bulk(text)
        self._tail += text
        if len(self._tail) > 4 * RUN_CHARS:
            self._measure()

    @property
    def tokens(self) -> int:
        """Tokens of all text so far."""
        if self._measured != len(self._tail):
            self._measure()
        return self._done + (self._tail_tokens if self._run is None else self._run.tokens)

    @property
    def exact(self) -> bool:
        """False once megabytes of text that is hard to count came at once, and were counted from samples."""
        return self._large.exact

    def _paired(self, text: str) -> str:
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        if _SURROGATE.search(text):
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text

    def _measure(self) -> None:
        border = space_border(self._tail)
        if border:
            self._settle(border)
        if len(self._tail) > SETTLE_CHARS:
            self._settle(settled(self._name, self._tail))
        if len(self._tail) > RUN_CHARS:
            self._run = run_of(self._name, self._tail)
            if self._run is not None:
                self._tail, self._measured, self._tail_tokens = "", 0, 0
                return
        if len(self._tail) > TAIL_CHARS:
            self._settle(len(self._tail))
        self._tail_tokens = len(self._encode(self._tail))
        self._measured = len(self._tail)

    def _bulk(self, text: str) -> str:
        """Settles nearly all of a large addition, which would cost too much character by character; the rest."""
        text, self._tail, self._measured = self._tail + text, "", 0
        start = 0
        while len(text) - start > BULK_CHARS:
            block = text[start : start + BLOCK_CHARS]
            end = block_end(self._name, block) if self._large.exact else len(block)
            self._done += self._large(block[:end])
            start += end
        return text[start:]

    def _settle(self, border: int) -> None:
        if border:
            known = border == self._measured
            self._done += self._tail_tokens if known else len(self._encode(self._tail[:border]))
            self._tail = self._tail[border:]
            self._measured = 0


def text_tokens(name: str, text: str) -> int:
    """Tokens of one whole text, in time that grows no faster than its length.

    It is counted in blocks that end where no pre-token can span. A block without such a place is cut all the same,
    which can put the count off by a token or two: it takes 8,192 characters in a row without one space.
    """
    encode = vocabulary(name).encode_ordinary
    start, tokens = 0, 0
    while len(text) - start > BLOCK_CHARS:
        block = text[start : start + BLOCK_CHARS]
        end = block_end(name, block)
        tokens += len(encode(block[:end]))
        start += end
    return tokens + len(encode(text[start:] if start else text))
