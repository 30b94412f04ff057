"""Input tokens of a request to Gemini: its texts by the family's rule, framing and pictures by what was measured."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from .lenient import dumped

MESSAGE_TOKENS: Final = 1
IMAGE_TOKENS: Final = 258
"""A picture, or one tile of a larger one (Gemini API guide, "Understand and count tokens"); Gemini 3 differs."""
_CALLS: Final = ("functionCall", "functionResponse", "toolCall", "toolResponse")


def gemini_tokens(request: dict[str, Any], count: Callable[[str], int], factor: float) -> int:
    """Tokens of a `GenerateContentRequest`, an `EmbedContentRequest` or a batch of the latter; `count` counts one text
    in the family's vocabulary. Sound, video, documents and files behind a link are not counted."""
    contents = list(_contents(request))
    parts = [part for content in contents for part in _dicts(content.get("parts"))]
    texts = [text for part in parts for text in _texts(part)]
    texts += [dumped(tool) for tool in _dicts(request.get("tools"))]
    pictures = sum(1 for part in parts if _is_picture(part))
    words = round(sum(count(text) for text in texts) * factor)
    return words + MESSAGE_TOKENS * len(contents) + IMAGE_TOKENS * pictures


def _contents(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Contents, as a list, one alone, or a bare text."""
    for one in (request, *_dicts(request.get("requests"))):
        for name in ("contents", "content", "systemInstruction"):
            yield from _content(_either(one, name))


def _content(given: object) -> Iterator[dict[str, Any]]:
    if isinstance(given, str):
        yield {"parts": [{"text": given}]}
    elif isinstance(given, dict):
        parts = given.get("parts")
        yield {"parts": [parts] if isinstance(parts, dict) else parts}
    elif isinstance(given, list):
        for item in given:
            if not isinstance(item, list):
                yield from _content(item)


def _texts(part: dict[str, Any]) -> Iterator[str]:
    if isinstance(part.get("text"), str):
        yield part["text"]
    for name in _CALLS:
        call = _either(part, name)
        if isinstance(call, dict):
            yield dumped({key: value for key, value in call.items() if key != "id"})
    code = _either(part, "executableCode")
    if isinstance(code, dict) and isinstance(code.get("code"), str):
        yield code["code"]
    result = _either(part, "codeExecutionResult")
    if isinstance(result, dict) and isinstance(result.get("output"), str):
        yield result["output"]


def _is_picture(part: dict[str, Any]) -> bool:
    data = _either(part, "inlineData")
    kind = _either(data, "mimeType") if isinstance(data, dict) else None
    return isinstance(kind, str) and kind.startswith("image/")


def _either(content: dict[str, Any], name: str) -> Any:
    """A member by its name in JSON or in the protocol's own spelling: both are read (ProtoJSON)."""
    if name in content:
        return content[name]
    return content.get("".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name))


def _dicts(content: object) -> Iterator[dict[str, Any]]:
    if isinstance(content, list):
        yield from (item for item in content if isinstance(item, dict))
