"""What a reply has said so far: the collector that the readers of each protocol write into."""

from collections.abc import Iterator
from typing import Any, Final

from .lenient import kept, label

USAGE_MAX: Final = 16
"""Usage objects kept: providers that repeat a cumulative one in every chunk have the last kept."""

Members = dict[str, Any]


class Said:
    """Texts, usage objects, finish reason, model and response id of one reply, in order of arrival.

    `usage` holds the provider's usage objects for `usage.merge_usage`. `finish_reason`, `model` and `response_id` are
    empty until the reply names them; `has_error` says that it carried an error object. `calls` and `open_calls` are for
    protocols that number no tool calls: how many each choice has made, and which choice's last one goes on.
    `hides`: the model thinks, and what it shows of that is less than what it costs.
    `background`: the reply calls itself one that goes on without its request.
    """

    __slots__ = (
        "_texts",
        "background",
        "calls",
        "finish_reason",
        "has_error",
        "hides",
        "model",
        "open_calls",
        "response_id",
        "usage",
    )

    def __init__(self) -> None:
        self.usage: list[Members] = []
        self.finish_reason = ""
        self.model = ""
        self.response_id = ""
        self.has_error = False
        self.hides = False
        self.background = False
        self.calls: dict[int, int] = {}
        self.open_calls: set[int] = set()
        self._texts: list[tuple[str, str]] = []

    def new_text(self) -> list[tuple[str, str]]:
        """(channel, text) pairs since the last call, in order of arrival.

        Channels: `<choice>/content`, `<choice>/refusal`, `<choice>/reasoning`, `<choice>/tool/<index>/name`,
        `<choice>/tool/<index>/arguments`. Where a protocol has one reply only, its choice is 0.
        """
        texts, self._texts = self._texts, []
        return texts

    def text(self, channel: str, text: object) -> None:
        """More text of a channel; what is no text, or empty, is passed over."""
        if text and isinstance(text, str):
            self._texts.append((channel, text))

    def use(self, usage: object) -> None:
        """A usage object; one that repeats the last is passed over."""
        if not isinstance(usage, dict):
            return
        usage = kept(usage)
        if usage and (not self.usage or self.usage[-1] != usage):
            if len(self.usage) >= USAGE_MAX:
                self.usage.pop()
            self.usage.append(usage)

    def about(self, response_id: object, model: object) -> None:
        """What the reply calls itself and its model; the first names stay."""
        if not self.response_id:
            self.response_id = label(response_id)
        if not self.model:
            self.model = label(model)

    def finish(self, reason: object) -> None:
        """Why the reply ends; the last reason stays."""
        self.finish_reason = label(reason) or self.finish_reason

    def error(self, found: object) -> None:
        """Whether an error was found."""
        self.has_error = self.has_error or bool(found)


def dict_of(content: object) -> Members:
    """`content` if it is an object, else an empty one."""
    return content if isinstance(content, dict) else {}


def dicts_of(content: object) -> Iterator[Members]:
    """The objects in `content`, where it is a list."""
    if isinstance(content, list):
        yield from (item for item in content if isinstance(item, dict))


def index_of(content: Members, name: str = "index") -> int:
    """The index in `content`; 0 where it has none."""
    index = content.get(name)
    return index if isinstance(index, int) else 0
