"""Asking a provider for the usage of a stream on a client's behalf (OpenAI API reference, `stream_options`).

The request gets one member in front of its first; every other byte stays. The chunk that only the asking brings is told
apart by what it is: no choices, and a usage object.
"""

import re
from typing import Final

import orjson

from penstock.schemas.events import Api

ADDED: Final = "stream_options.include_usage"
_MEMBER: Final = b'"stream_options":{"include_usage":true}'
_STREAMS: Final = frozenset[Api](("openai.chat", "openai.completions"))
_OBJECT: Final = re.compile(rb"[ \t\r\n]*\{[ \t\r\n]*(?!\})")


def with_usage_asked(api: Api, body: bytes) -> bytes | None:
    """`body` of a streamed request, with its usage asked for. None where that is not to be added: the client has
    options of its own, whichever they are, or the body is no plain JSON object that asks for a stream."""
    opening = _OBJECT.match(body)
    if api not in _STREAMS or opening is None:
        return None
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if "stream_options" in content or content.get("stream") is not True:
        return None
    at = body.index(b"{") + 1
    return b"%b%b,%b" % (body[:at], _MEMBER, body[at:])


def only_usage(data: bytes) -> bool:
    """Whether an event's data is the chunk that brings the usage and nothing else."""
    if b'"usage"' not in data:
        return False
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return isinstance(content, dict) and content.get("choices") == [] and isinstance(content.get("usage"), dict)
