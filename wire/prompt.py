"""Counting the input tokens of a request: `counted` where the rule is known to be exact, else `estimated`."""

from collections.abc import Iterable
from typing import Any, Final

from penstock.schemas.attribution import TokenCount
from penstock.schemas.events import Api

from .bounded import BoundedCount
from .chat_prompt import Count, chat_prompt, functions_of
from .families import Method, encoding_for
from .gemini_prompt import gemini_tokens
from .lenient import dumped, parsed
from .request import UNCHARGED
from .responses_prompt import as_chat, holds_all

BYTES_PER_TOKEN: Final = 4
"""For a body that is no JSON of a known api: a guess, and called one."""
CLAUDE_MESSAGE_TOKENS: Final = 7
CLAUDE_TOOLS_TOKENS: Final = 346
CLAUDE_THINKING_TOKENS: Final = 28
CLAUDE_IMAGE_TOKENS: Final = 1_500
OTHER_MESSAGE_TOKENS: Final = 4
_TEXT_MEMBERS: Final = ("text", "content", "thinking", "name", "arguments", "input")
_DEEPEST: Final = 32


def count_prompt(api: Api, model: str, body: bytes) -> TokenCount:
    """Input tokens of a request body. Never raises.

    `counted`: text alone, for a model whose vocabulary is published. `estimated`: tools, pictures, files, structured
    output, and every model of another provider.
    """
    request = parsed(body)
    if not isinstance(request, dict) or api in UNCHARGED:
        return TokenCount(tokens=len(body) // BYTES_PER_TOKEN, source="estimated", method="bytes/4")
    method = encoding_for(model, api)
    count = BoundedCount(method.encoding)
    found = _counted(api, method, model, count, request)
    if count.exact:
        return found
    return TokenCount(tokens=found.tokens, source="estimated", method=f"{method.name} of samples")


def _counted(api: Api, method: Method, model: str, count: Count, request: dict[str, Any]) -> TokenCount:
    if api == "openai.chat":
        return _chat(method, model, count, request)
    if api == "openai.responses":
        return _responses(method, model, count, request)
    if api == "anthropic.messages":
        return _count(method, _anthropic(method, count, request), False)
    if api in ("gemini.generate", "gemini.embed"):
        return _count(method, gemini_tokens(request, count, method.factor), False)
    return _texts(method, count, request.get("input" if api == "embeddings" else "prompt"))


def _count(method: Method, tokens: int, exact: bool) -> TokenCount:
    name = method.encoding if exact else method.name
    return TokenCount(tokens=tokens, source="counted" if exact else "estimated", method=name)


def _chat(method: Method, model: str, count: Count, request: dict[str, Any]) -> TokenCount:
    bare = model.lower().rpartition("/")[2]
    if method.exact or method.thinks:
        prompt = chat_prompt(bare, method.thinks, count, request)
        return _count(method, prompt.tokens, prompt.plain)
    messages = request.get("messages")
    number = len(messages) if isinstance(messages, list) else 0
    tools = "".join(dumped(function) for function in functions_of(request))
    raw = sum(count(text) for text in _strings(messages, _DEEPEST)) + count(tools)
    return _count(method, round(raw * method.factor) + number * OTHER_MESSAGE_TOKENS, False)


def _responses(method: Method, model: str, count: Count, request: dict[str, Any]) -> TokenCount:
    found = _chat(method, model, count, as_chat(request))
    return found if holds_all(request) else _count(method, found.tokens, False)


def _anthropic(method: Method, count: Count, request: dict[str, Any]) -> int:
    messages, tools = request.get("messages"), request.get("tools")
    texts = [*_strings(messages, _DEEPEST), *_strings(request.get("system"), _DEEPEST)]
    tokens = len(messages) * CLAUDE_MESSAGE_TOKENS if isinstance(messages, list) else 0
    tokens += _images(messages, _DEEPEST) * CLAUDE_IMAGE_TOKENS
    thinking = request.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") == "enabled":
        tokens += CLAUDE_THINKING_TOKENS
    if isinstance(tools, list) and tools:
        tokens += CLAUDE_TOOLS_TOKENS
        texts.append(dumped(tools))
    return tokens + round(sum(count(text) for text in texts) * method.factor)


def _texts(method: Method, count: Count, given: object) -> TokenCount:
    """An embeddings input or a completions prompt: a text, texts, tokens, or lists of tokens."""
    items = given if isinstance(given, list) else [given]
    tokens, plain = 0, method.exact
    for item in items:
        if isinstance(item, str):
            tokens += count(item)
        elif isinstance(item, int):
            tokens += 1
        elif isinstance(item, list):
            tokens += len(item)
        else:
            plain = False
    return _count(method, tokens if method.exact else round(tokens * method.factor), plain)


def _strings(content: object, deepest: int) -> Iterable[str]:
    """The texts of messages; not roles, ids or the bytes of pictures."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list) and deepest:
        for item in content:
            yield from _strings(item, deepest - 1)
    elif isinstance(content, dict) and deepest:
        for name in _TEXT_MEMBERS:
            if name == "input" and isinstance(content.get(name), dict):
                yield dumped(content[name])
            else:
                yield from _strings(content.get(name), deepest - 1)
        for name in ("tool_calls", "function"):
            yield from _strings(content.get(name), deepest - 1)


def _images(content: object, deepest: int) -> int:
    if isinstance(content, list) and deepest:
        return sum(_images(item, deepest - 1) for item in content)
    if isinstance(content, dict) and deepest:
        return int(content.get("type") == "image") + _images(content.get("content"), deepest - 1)
    return 0
