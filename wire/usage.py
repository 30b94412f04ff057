"""Provider usage objects as one figure (OpenTelemetry GenAI: input includes cache reads and writes, output reasoning).

What each provider means by its members (API references of OpenAI, Anthropic, DeepSeek, Mistral, Groq, OpenRouter, xAI,
Voyage, Google): OpenAI's `prompt_tokens` contains cached tokens, Anthropic's `input_tokens` does not; Google counts
thoughts beside the candidates, and what its own tools put into the prompt beside the prompt. Every object of a stream
is cumulative: a later figure replaces an earlier one, none are added up; of Google's the last one stands alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from penstock.schemas.events import Api

_LIMIT: Final = 1 << 48
"""No provider reports more; a larger figure is noise, and would not fit the store."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the provider reported. None: it did not say.

    `cached_tokens` and `cache_write_tokens` are contained in `input_tokens`, `reasoning_tokens` in `output_tokens`.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


def merge_usage(api: Api, objects: list[dict[str, Any]]) -> Usage | None:
    """The exchange's figure from its usage objects in order of arrival; None where the provider reported nothing.

    Never raises: members that are no token counts are passed over.
    """
    if api in ("gemini.generate", "gemini.embed"):
        usage = _gemini(objects)
    else:
        usage = _anthropic(objects) if api == "anthropic.messages" else _openai(objects)
    if usage.input_tokens is None and usage.output_tokens is None:
        return None
    if api in ("embeddings", "gemini.embed"):
        return usage if usage.output_tokens is not None else replace(usage, output_tokens=0)
    if not usage.input_tokens and not usage.output_tokens:
        return None  # nothing but zeros is what gateways put where they know nothing: every prompt has tokens
    return usage


def _anthropic(objects: list[dict[str, Any]]) -> Usage:
    fresh = _last(objects, "input_tokens")
    read = _last(objects, "cache_read_input_tokens")
    written = _last(objects, "cache_creation_input_tokens")
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=_last(objects, "output_tokens"),
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=_last(_inner(objects, "output_tokens_details"), "thinking_tokens"),
    )


def _gemini(objects: list[dict[str, Any]]) -> Usage:
    """The last object with figures alone: its prompt may grow and its candidates may go while a stream runs. Zeros are
    left out: where it names a total but no candidates, the rest of the total is the output."""
    last: dict[str, Any] = next(
        (one for one in reversed(objects) if one.keys() & {"promptTokenCount", "totalTokenCount"}), {}
    )
    asked, tools = _last([last], "promptTokenCount"), _last([last], "toolUsePromptTokenCount")
    said, thought = _last([last], "candidatesTokenCount"), _last([last], "thoughtsTokenCount")
    total = _last([last], "totalTokenCount")
    given = None if asked is None and tools is None else (asked or 0) + (tools or 0)
    output = None if said is None else said + (thought or 0)
    if output is None and total is not None and given is not None:
        output = max(total - given, thought or 0)
    return Usage(
        input_tokens=given,
        output_tokens=output,
        cached_tokens=_last([last], "cachedContentTokenCount"),
        reasoning_tokens=thought,
    )


def _openai(objects: list[dict[str, Any]]) -> Usage:
    asked = list(_inner(objects, "prompt_tokens_details", "input_tokens_details"))
    given = list(_inner(objects, "completion_tokens_details", "output_tokens_details"))
    total = _last(objects, "total_tokens")
    prompt = _first(_last(objects, "prompt_tokens"), _last(objects, "input_tokens"))
    output = _first(_last(objects, "completion_tokens"), _last(objects, "output_tokens"))
    reasoning = _last(given, "reasoning_tokens")
    if prompt is not None and output is not None and reasoning and total == prompt + output + reasoning:
        output += reasoning  # xAI counts reasoning beside the completion
    if prompt is None and output is None:
        prompt = total  # Voyage embeddings report the total alone
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cached_tokens=_first(
            _last(asked, "cached_tokens"),
            _last(objects, "prompt_cache_hit_tokens"),
            _last(objects, "cached_tokens"),
            _last(objects, "num_cached_tokens"),
        ),
        cache_write_tokens=_last(asked, "cache_write_tokens"),
        reasoning_tokens=reasoning,
    )


def _last(objects: Iterable[dict[str, Any]], name: str) -> int | None:
    """The last figure under `name`; a zero does not replace a figure that came before, since figures only grow."""
    found: int | None = None
    for content in objects:
        value = content.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LIMIT and value % 1 == 0:
            found = int(value) or found or 0
    return found


def _inner(objects: Iterable[dict[str, Any]], *names: str) -> Iterable[dict[str, Any]]:
    for content in objects:
        for name in names:
            inner = content.get(name)
            if isinstance(inner, dict):
                yield inner


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)
