"""Replies of Anthropic's messages (API reference, "Messages" and "Streaming messages")."""

from .lenient import dumped
from .said import Members, Said, dict_of, dicts_of, index_of

CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")
THOUGHTS = ("thinking", "redacted_thinking")


def read_anthropic(said: Said, content: Members) -> None:
    """One event's data, or a whole answer."""
    kind = content.get("type")
    said.error(kind == "error" or content.get("error"))
    if kind == "content_block_delta":
        _block_delta(said, index_of(content), dict_of(content.get("delta")))
    elif kind == "content_block_start":
        _block(said, index_of(content), dict_of(content.get("content_block")))
    elif kind == "message_delta":
        said.finish(dict_of(content.get("delta")).get("stop_reason"))
        said.use(content.get("usage"))
    elif kind in ("message", "message_start"):
        _message(said, dict_of(content.get("message")) if kind == "message_start" else content)


def _message(said: Said, message: Members) -> None:
    said.about(message.get("id"), message.get("model"))
    for index, block in enumerate(dicts_of(message.get("content"))):
        _block(said, index, block)
    said.finish(message.get("stop_reason"))
    said.use(message.get("usage"))


def _block(said: Said, index: int, block: Members) -> None:
    said.hides = said.hides or block.get("type") in THOUGHTS
    said.text("0/content", block.get("text"))
    said.text("0/reasoning", block.get("thinking"))
    if block.get("type") in CALLS:
        said.text(f"0/tool/{index}/name", block.get("name"))
        if block.get("input"):
            said.text(f"0/tool/{index}/arguments", dumped(block["input"]))


def _block_delta(said: Said, index: int, delta: Members) -> None:
    said.text("0/content", delta.get("text"))
    said.text("0/reasoning", delta.get("thinking"))
    said.text(f"0/tool/{index}/arguments", delta.get("partial_json"))
