"""A Responses request in the shape of a chat request, so that one rule counts both.

`instructions` come first, as a system message; `input` is one user message or a list of items; tools are flat. What the
provider holds itself (`previous_response_id`, `conversation`, a stored `prompt`) cannot be counted from the request.
"""

from collections.abc import Iterator
from typing import Any, Final

from .lenient import dumped
from .said import Members, dicts_of

_STORED: Final = ("previous_response_id", "conversation", "prompt")


def as_chat(request: Members) -> Members:
    """`request` with `messages`, `tools` and `response_format` as a chat completion has them."""
    tools = [
        {"type": "function", "function": tool} if tool.get("type") == "function" else {}
        for tool in dicts_of(request.get("tools"))
    ]
    text = request.get("text")
    return {
        "messages": list(_messages(request)),
        "tools": tools,
        "tool_choice": request.get("tool_choice"),
        "response_format": _form(text.get("format")) if isinstance(text, dict) else None,
    }


def holds_all(request: Members) -> bool:
    """Whether everything that the model sees stands in the request."""
    return not any(request.get(name) for name in _STORED)


def _messages(request: Members) -> Iterator[Members]:
    instructions = request.get("instructions")
    if isinstance(instructions, str) and instructions:
        yield {"role": "system", "content": instructions}
    given = request.get("input")
    if isinstance(given, str):
        yield {"role": "user", "content": given}
    for item in dicts_of(given):
        yield _message(item)


def _message(item: Members) -> Members:
    match item.get("type"):
        case "function_call" | "custom_tool_call":
            arguments = item.get("arguments") or item.get("input")
            return {
                "role": "assistant",
                "tool_calls": [{"function": {"name": item.get("name"), "arguments": arguments}}],
            }
        case "function_call_output" | "custom_tool_call_output":
            output = item.get("output")
            return {"role": "tool", "content": output if isinstance(output, str) else dumped(output)}
        case "reasoning":
            return {"role": "reasoning", "content": item.get("summary")}
    content = item.get("content")
    return {"role": item.get("role"), "content": [_part(part) for part in dicts_of(content)] or content}


def _part(part: Members) -> Members:
    """Pictures stand flat here, and in an object there."""
    url = part.get("image_url")
    if part.get("type") == "input_image" and isinstance(url, str):
        return {"type": "image_url", "image_url": {"url": url, "detail": part.get("detail")}}
    return part


def _form(form: Any) -> Any:
    """`{"type": "json_schema", "name", "schema"}`, with its members in an object of their own."""
    if isinstance(form, dict) and form.get("type") == "json_schema":
        return {"type": "json_schema", "json_schema": form}
    return form
