"""JSON as the most lenient server reads it: what an upstream may accept must not be invisible here.

orjson reads what follows RFC 8259 in UTF-8. Python's own parser, which many model servers use, takes more: a byte order
mark, UTF-16, NaN, lone surrogates, numbers of any size.
"""

import json
import math
from typing import Any, Final

import orjson

NAME_MAX_CHARS: Final = 256
_NODES_MAX: Final = 96
_TEXT_MAX_CHARS: Final = 64
_INTEGERS: Final = range(-(2**63), 2**63)


def parsed(data: bytes) -> Any:
    """The content of `data`, or None where no parser takes it. Never raises. Texts may hold lone surrogates."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def members(data: bytes) -> dict[str, Any]:
    """The members of the JSON object in `data`; none where it is anything else."""
    content = parsed(data)
    return content if isinstance(content, dict) else {}


def dumped(content: object) -> str:
    """`content`, which a parser gave, as JSON text with readable characters; `""` where it is nested too deeply to be
    written again."""
    return _dumped(content, None)


def compact(content: object) -> str:
    """As `dumped`, without spaces."""
    return _dumped(content, (",", ":"))


def label(content: object) -> str:
    """A name that somebody else chose, fit to be published: at most 256 characters, no lone surrogate; `""` for what is
    no text."""
    return clean(content[:NAME_MAX_CHARS]) if isinstance(content, str) else ""


def clean(text: str) -> str:
    """`text` with `?` for each lone surrogate, which UTF-8 cannot hold."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def kept(content: dict[str, Any]) -> dict[str, Any]:
    """`content` as far as any store can hold it: at most 96 values in all, texts of at most 64 characters, integers of
    64 bits, finite numbers. What does not fit is left out, so that no provider decides how large our records are."""
    if len(content) <= _NODES_MAX:
        for name, value in content.items():
            if type(value) is not int or value not in _INTEGERS or len(name) > _TEXT_MAX_CHARS or not name.isascii():
                break
        else:  # figures alone, as most providers send them: nothing can have to be left out
            return dict(content)
    return dict(_Keeper().members(content))


class _Keeper:
    """One run of `kept`: counts the values that it lets pass."""

    def __init__(self) -> None:
        self._left = _NODES_MAX

    def members(self, content: dict[str, Any]) -> list[tuple[str, Any]]:
        found = []
        for name, value in content.items():
            if self._left <= 0:
                break
            self._left -= 1
            if _fits(value):
                found.append((clean(name[:_TEXT_MAX_CHARS]), self._value(value)))
        return found

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return clean(value[:_TEXT_MAX_CHARS])
        if isinstance(value, dict):
            return dict(self.members(value))
        if isinstance(value, list):
            return [inner for _, inner in self.members({str(place): inner for place, inner in enumerate(value[:96])})]
        return value


def _fits(value: object) -> bool:
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return value in _INTEGERS
    return not isinstance(value, float) or math.isfinite(value)


def _dumped(content: object, separators: tuple[str, str] | None) -> str:
    try:
        return json.dumps(content, ensure_ascii=False, separators=separators)
    except (ValueError, RecursionError):
        return ""
