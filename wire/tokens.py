"""Counting tokens of text: exact where the model's vocabulary is published, by calibrated rule elsewhere.

Deltas are joined before they are counted, since only some providers send one token at a time.
"""

from .families import Method, encoding_for, known
from .joined import JoinedCount, text_tokens

__all__ = ["Method", "RunningCount", "count_text", "encoding_for", "known"]

CHANNELS_MAX = 1024
OVERFLOW = "0/overflow"
"""The channel of all text beyond so many: no upstream decides how much is remembered of its reply."""


def count_text(method: Method, text: str) -> int:
    """Tokens of one text that is a whole reply; 0 for none."""
    tokens = text_tokens(method.encoding, text)
    return _scaled(method, tokens) + method.offset if tokens else 0


def _scaled(method: Method, tokens: int) -> int:
    return tokens if method.factor == 1 else int(tokens * method.factor + 0.5)


class RunningCount:
    """Tokens of a reply while it streams.

    `tokens` is at every moment what the joined texts of all channels come to: `count_text` for one text, the sum of the
    texts for several, with the method's offset for each reply (`n` > 1) and its framing of tool calls. Cost of an
    addition is bounded however long the texts are. Channels are those of `chunk.ChunkReader`.
    """

    __slots__ = ("_calls", "_changed", "_choices", "_counts", "_seen", "_text_tokens", "method")

    def __init__(self, method: Method) -> None:
        self.method = method
        self._counts: dict[str, JoinedCount] = {}
        self._seen: dict[str, int] = {}
        self._changed: set[str] = set()
        self._text_tokens = 0
        self._choices: set[str] = set()
        self._calls: dict[str, set[str]] = {}

    def add(self, channel: str, text: str) -> None:
        """More text of one channel."""
        if not text:
            return
        count = self._counts.get(channel)
        if count is None:
            if len(self._counts) >= CHANNELS_MAX:
                channel = OVERFLOW
            count = self._counts.get(channel) or self._open(channel)
        count.add(text)
        self._changed.add(channel)

    @property
    def exact(self) -> bool:
        """No text was counted from samples."""
        return all(count.exact for count in self._counts.values())

    @property
    def tokens(self) -> int:
        """Tokens of all that was added."""
        if self._changed:
            for channel in self._changed:
                tokens = self._counts[channel].tokens
                self._text_tokens += tokens - self._seen[channel]
                self._seen[channel] = tokens
            self._changed.clear()
        if not self._counts:
            return 0
        method = self.method
        return _scaled(method, self._text_tokens) + method.offset * len(self._choices) + self._framing()

    def _open(self, channel: str) -> JoinedCount:
        count = self._counts[channel] = JoinedCount(self.method.encoding)
        self._seen[channel] = 0
        choice, _, rest = channel.partition("/")
        self._choices.add(choice)
        if rest.startswith("tool/"):
            self._calls.setdefault(choice, set()).add(rest.split("/")[1])
        return count

    def _framing(self) -> int:
        if not self._calls:
            return 0
        one, base, each = self.method.calls
        return sum(one if len(calls) == 1 else base + each * len(calls) for calls in self._calls.values())
