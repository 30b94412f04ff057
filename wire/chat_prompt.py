"""Input tokens of an OpenAI chat request: text exactly, tools and pictures by the rules that are known of them.

Sources: OpenAI cookbook, "How to count tokens with tiktoken" (3 a message, 3 for the reply's start, 1 for a name); the
framing of tools was measured (docs/tokens.md).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from .images import image_tokens
from .lenient import compact
from .toolbox import tools_text

Count = Callable[[str], int]

MESSAGE_TOKENS: Final = 3
REPLY_TOKENS: Final = 3
NAME_TOKENS: Final = 1
TOOLS_TOKENS: Final = 9
TOOLS_WITH_SYSTEM_TOKENS: Final = -4
TOOLS_OF_THINKERS_TOKENS: Final = 80
EMPTY_DESCRIPTION_TOKENS: Final = -1
CHOSEN_TOOL_TOKENS: Final = 7
CHOSEN_FUNCTION_TOKENS: Final = 4
CALL_TOKENS: Final = 7
CALLS_TOKENS: Final = 29
CALLS_EACH_TOKENS: Final = 4
_ADDING: Final = ("tools", "functions", "plugins", "web_search_options", "prediction", "audio")
"""Members through which a provider puts more into the prompt than the request shows."""


@dataclass(slots=True)
class ChatPrompt:
    """`tokens`, and whether each of them follows a rule that is exact (`plain`)."""

    tokens: int = 0
    plain: bool = True
    roles: set[str] = field(default_factory=set)


def chat_prompt(model: str, thinks: bool, count: Count, request: dict[str, Any]) -> ChatPrompt:
    """The input tokens of `request`. `thinks`: a model of the gpt-5 and o series. Never raises."""
    prompt = ChatPrompt(tokens=REPLY_TOKENS - (1 if thinks else 0))
    messages = request.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            _message(prompt, model, count, message)
        else:
            prompt.plain = False
    functions = list(functions_of(request))
    if functions:
        _tools(prompt, thinks, count, request, functions)
    if any(request.get(name) for name in _ADDING):
        prompt.plain = False
    form = request.get("response_format")
    if isinstance(form, dict) and form.get("type") != "text":
        prompt.plain = False
        prompt.tokens += _schema_tokens(count, form.get("json_schema"))
    return prompt


def functions_of(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The functions offered: `tools` of type function, and the older `functions`."""
    for name in ("functions", "tools"):
        items = request.get(name)
        for item in items if isinstance(items, list) else ():
            function = item.get("function") if isinstance(item, dict) and name == "tools" else item
            if isinstance(function, dict):
                yield function


def _message(prompt: ChatPrompt, model: str, count: Count, message: dict[str, Any]) -> None:
    prompt.tokens += MESSAGE_TOKENS
    role = message.get("role")
    if isinstance(role, str):
        prompt.tokens += count(role)
        prompt.roles.add(role)
    name = message.get("name")
    if isinstance(name, str):
        prompt.tokens += NAME_TOKENS + count(name)
    _content(prompt, model, count, message.get("content"))
    calls = message.get("tool_calls") or message.get("function_call")
    if calls:
        _calls(prompt, count, calls if isinstance(calls, list) else [{"function": calls}])
    prompt.plain = prompt.plain and role in ("system", "user", "assistant", "developer")


def _content(prompt: ChatPrompt, model: str, count: Count, content: object) -> None:
    if isinstance(content, str):
        prompt.tokens += count(content)
        return
    if content is None:
        return
    for part in content if isinstance(content, list) else ():
        text = part.get("text") if isinstance(part, dict) else None
        if isinstance(text, str):
            prompt.tokens += count(text)
            continue
        prompt.plain = False
        image = part.get("image_url") if isinstance(part, dict) else None
        url = image.get("url") if isinstance(image, dict) else None
        if isinstance(image, dict) and isinstance(url, str):
            prompt.tokens += image_tokens(model, url, str(image.get("detail")))


def _calls(prompt: ChatPrompt, count: Count, calls: list[Any]) -> None:
    prompt.plain = False
    prompt.tokens += CALL_TOKENS if len(calls) == 1 else CALLS_TOKENS + CALLS_EACH_TOKENS * len(calls)
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            texts = (function.get("name"), function.get("arguments"))
            prompt.tokens += sum(count(text) for text in texts if isinstance(text, str))


def _tools(
    prompt: ChatPrompt, thinks: bool, count: Count, request: dict[str, Any], functions: list[dict[str, Any]]
) -> None:
    prompt.tokens += TOOLS_TOKENS + count(tools_text(functions))
    prompt.tokens += EMPTY_DESCRIPTION_TOKENS * sum(map(_undescribed, functions))
    if thinks:
        prompt.tokens += TOOLS_OF_THINKERS_TOKENS
    if not prompt.roles.isdisjoint(("system", "developer")):
        prompt.tokens += TOOLS_WITH_SYSTEM_TOKENS
    choice = request.get("tool_choice", request.get("function_call"))
    if choice == "none":
        prompt.tokens += 1
    elif isinstance(choice, dict):
        chosen = choice.get("function", choice)
        name = chosen.get("name") if isinstance(chosen, dict) else None
        prompt.tokens += CHOSEN_TOOL_TOKENS if "function" in choice else CHOSEN_FUNCTION_TOKENS
        prompt.tokens += count(name) if isinstance(name, str) else 0


def _schema_tokens(count: Count, wanted: object) -> int:
    """Structured output: the schema as compact JSON, with its name and description."""
    if not isinstance(wanted, dict):
        return 0
    texts = [wanted.get("name"), wanted.get("description")]
    texts.append(compact(wanted.get("schema")))
    return sum(count(text) for text in texts if isinstance(text, str))


def _undescribed(function: dict[str, Any]) -> bool:
    parameters = function.get("parameters")
    return function.get("description") == "" and isinstance(parameters, dict) and bool(parameters.get("properties"))
