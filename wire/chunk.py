"""What a reply says, read event by event or as a whole: texts, usage objects, finish reason, model, response id.

Members follow the API references of OpenAI (chat completions, completions, embeddings) and Anthropic (messages), and
what other providers of the chat protocol add: `reasoning`, `reasoning_content`, `x_groq.usage`, content in parts.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from penstock.schemas.events import Api

from .lenient import dumped, kept, label, members
from .sse import event_data

USAGE_MAX: Final = 16
"""Usage objects kept: providers that repeat a cumulative one in every chunk have the last kept."""

Members = dict[str, Any]


class ChunkReader:
    """Collects what one reply says. Never raises, whatever the bytes are.

    `usage` holds the provider's usage objects in order of arrival, for `usage.merge_usage`. `finish_reason`, `model`
    and `response_id` are empty until the reply names them; `has_error` says that it carried an error object.
    """

    __slots__ = ("_members", "_texts", "api", "finish_reason", "has_error", "model", "response_id", "usage")

    def __init__(self, api: Api) -> None:
        self.api = api
        self.usage: list[Members] = []
        self.finish_reason = ""
        self.model = ""
        self.response_id = ""
        self.has_error = False
        self._texts: list[tuple[str, str]] = []
        readers: dict[Api, Callable[[Members], None]] = {
            "openai.chat": self._openai,
            "openai.completions": self._openai,
            "embeddings": self._openai,
            "anthropic.messages": self._anthropic,
        }
        self._members = readers.get(api)

    def feed_event(self, event: bytes) -> None:
        """One SSE event."""
        if self._members is None:
            return
        data = event_data(event)
        if data and data != b"[DONE]":
            self.feed_body(data)

    def feed_body(self, whole: bytes) -> None:
        """A whole JSON answer."""
        if self._members is not None:
            self._members(members(whole))

    def new_text(self) -> list[tuple[str, str]]:
        """(channel, text) pairs since the last call, in order of arrival.

        Channels: `<choice>/content`, `<choice>/refusal`, `<choice>/reasoning`, `<choice>/tool/<index>/name`,
        `<choice>/tool/<index>/arguments`. Anthropic's choice is 0 and its index the content block's.
        """
        texts, self._texts = self._texts, []
        return texts

    def _text(self, channel: str, text: object) -> None:
        if text and isinstance(text, str):
            self._texts.append((channel, text))

    def _use(self, usage: object) -> None:
        if not isinstance(usage, dict):
            return
        usage = kept(usage)
        if usage and (not self.usage or self.usage[-1] != usage):
            if len(self.usage) >= USAGE_MAX:
                self.usage.pop()
            self.usage.append(usage)

    def _about(self, content: Members) -> None:
        if not self.response_id:
            self.response_id = label(content.get("id"))
        if not self.model:
            self.model = label(content.get("model"))

    def _openai(self, content: Members) -> None:
        self._about(content)
        self.has_error = self.has_error or bool(content.get("error"))
        for choice in _dicts(content.get("choices")):
            index = choice.get("index")
            self._choice(index if isinstance(index, int) else 0, choice)
        if self.api == "openai.chat":
            self._use(_dict(content.get("x_groq")).get("usage"))
        self._use(content.get("usage"))

    def _choice(self, index: int, choice: Members) -> None:
        """Providers may say one thing twice: the text so far beside the delta, or the delta's text beside it."""
        said = next((part for part in (choice.get("delta"), choice.get("message")) if isinstance(part, dict)), None)
        if said is None:
            self._text(f"{index}/content", choice.get("text"))
        else:
            self._delta(index, said)
        self.finish_reason = label(choice.get("finish_reason")) or self.finish_reason

    def _delta(self, choice: int, delta: Members) -> None:
        content = delta.get("content")
        if isinstance(content, str):
            self._text(f"{choice}/content", content)
        else:
            self._parts(choice, content)
        self._text(f"{choice}/refusal", delta.get("refusal"))
        self._text(f"{choice}/reasoning", delta.get("reasoning_content") or delta.get("reasoning"))
        if "function_call" in delta:
            self._call(f"{choice}/tool/0", delta["function_call"])
        for place, call in enumerate(_dicts(delta.get("tool_calls"))):
            index = call.get("index")
            self._call(f"{choice}/tool/{index if isinstance(index, int) else place}", call.get("function"))

    def _parts(self, choice: int, parts: object) -> None:
        """Content in parts: `{"type": "text"}`, and Mistral's `{"type": "thinking", "thinking": [{"text"}]}`."""
        for part in _dicts(parts):
            self._text(f"{choice}/content", part.get("text"))
            for thought in _dicts(part.get("thinking")):
                self._text(f"{choice}/reasoning", thought.get("text"))

    def _call(self, channel: str, function: object) -> None:
        content = _dict(function)
        self._text(f"{channel}/name", content.get("name"))
        arguments = content.get("arguments")
        self._text(f"{channel}/arguments", dumped(arguments) if isinstance(arguments, dict | list) else arguments)

    def _anthropic(self, content: Members) -> None:
        kind = content.get("type")
        self.has_error = self.has_error or kind == "error" or bool(content.get("error"))
        if kind == "content_block_delta":
            self._block_delta(_index(content), _dict(content.get("delta")))
        elif kind == "content_block_start":
            self._block(_index(content), _dict(content.get("content_block")))
        elif kind == "message_delta":
            self.finish_reason = label(_dict(content.get("delta")).get("stop_reason")) or self.finish_reason
            self._use(content.get("usage"))
        elif kind in ("message", "message_start"):
            self._message(_dict(content.get("message")) if kind == "message_start" else content)

    def _message(self, message: Members) -> None:
        self._about(message)
        for index, block in enumerate(_dicts(message.get("content"))):
            self._block(index, block)
        self.finish_reason = label(message.get("stop_reason")) or self.finish_reason
        self._use(message.get("usage"))

    def _block(self, index: int, block: Members) -> None:
        self._text("0/content", block.get("text"))
        self._text("0/reasoning", block.get("thinking"))
        if block.get("type") in ("tool_use", "server_tool_use", "mcp_tool_use"):
            self._text(f"0/tool/{index}/name", block.get("name"))
            if block.get("input"):
                self._text(f"0/tool/{index}/arguments", dumped(block["input"]))

    def _block_delta(self, index: int, delta: Members) -> None:
        self._text("0/content", delta.get("text"))
        self._text("0/reasoning", delta.get("thinking"))
        self._text(f"0/tool/{index}/arguments", delta.get("partial_json"))


def _dict(content: object) -> Members:
    return content if isinstance(content, dict) else {}


def _dicts(content: object) -> Iterator[Members]:
    if isinstance(content, list):
        yield from (item for item in content if isinstance(item, dict))


def _index(content: Members) -> int:
    index = content.get("index")
    return index if isinstance(index, int) else 0
