"""Counts the texts of one prompt in bounded time: exactly as long as that is cheap, then from samples.

Text with spaces costs little (60 ms for 4 MB). Text without them costs up to fifty times as much, and whoever sends
megabytes of it must not make the streams of others wait.
"""

from typing import Final

from .pretokens import BLOCK_CHARS, block_end
from .vocabulary import vocabulary

EFFORT: Final = 8_388_608
"""What a prompt may cost, in characters of text with spaces: about 200 ms."""
HARD: Final = 64
"""So many times as much costs a character of a block with few spaces."""
SPACED_CHARS: Final = 32
SHORT_CHARS: Final = 64
"""A shorter text, such as a role, costs as much as one of so many characters."""
SAMPLE_CHARS: Final = 128
"""Of each block beyond the effort, so many characters are counted."""


class BoundedCount:
    """The texts of one prompt. `exact` is False once a count was taken from samples; all is the same in every run."""

    __slots__ = ("_counted_chars", "_counted_tokens", "_encode", "_left", "_name", "_unsampled_chars", "exact")

    def __init__(self, name: str) -> None:
        self._name = name
        self._encode = vocabulary(name).encode_ordinary
        self._left = EFFORT
        self._counted_chars = self._counted_tokens = 0
        self._unsampled_chars = BLOCK_CHARS
        self.exact = True

    def __call__(self, text: str) -> int:
        """Tokens of one more text."""
        start, tokens = 0, 0
        while start < len(text):
            block = text[start : start + BLOCK_CHARS]
            last = start + len(block) == len(text)
            if self._left > 0:
                block = block if last else block[: block_end(self._name, block)]
                self._left -= _effort(block)
                tokens += self._counted(block)
            else:
                tokens += self._sampled(block)
            start += len(block)
        return tokens

    def _counted(self, block: str) -> int:
        tokens = len(self._encode(block))
        self._counted_chars += len(block)
        self._counted_tokens += tokens
        return tokens

    def _sampled(self, block: str) -> int:
        self.exact = False
        self._unsampled_chars += len(block)
        if self._unsampled_chars >= BLOCK_CHARS:
            self._unsampled_chars = 0
            sample = block[:SAMPLE_CHARS]
            return round(len(block) * self._counted(sample) / len(sample))
        return round(len(block) * self._counted_tokens / self._counted_chars)


def _effort(block: str) -> int:
    size = len(block)
    easy = size < SHORT_CHARS or size <= block.count(" ") * SPACED_CHARS <= size * SPACED_CHARS // 2
    return max(size, SHORT_CHARS) if easy else size * HARD
