"""Pure: where a replayed body is cut, and a body without its usage figures."""

import random
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final, Literal, get_args

import orjson

Cut = Literal["events", "whole", "bytes", "random"]
CUTS: Final[tuple[Cut, ...]] = get_args(Cut)
_EVENT_END: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")


def cut_body(body: bytes, cut: Cut, seed: int = 0) -> list[bytes]:
    """`body` in pieces that join to it: at SSE events, in one piece, byte by byte, or at random (also inside a
    character and inside a line ending)."""
    if cut == "events":
        return _between(body, (match.end() for match in _EVENT_END.finditer(body)))
    if cut == "bytes":
        return [body[place : place + 1] for place in range(len(body))]
    if cut == "random":
        return _between(body, _random_places(body, random.Random(seed)))
    return [body] if body else []


def _random_places(body: bytes, choose: random.Random) -> Iterable[int]:
    until = 0
    for place in range(1, len(body)):
        inside = body[place] & 0xC0 == 0x80 or body[place - 1 : place + 1] in (b"\r\n", b"\n\n")
        if place >= until or (inside and choose.random() < 0.5):
            yield place
            until = place + choose.choice((1, 2, 3, 7, 20, 90, 400))


def _between(body: bytes, places: Iterable[int]) -> list[bytes]:
    bounds = [0, *places, len(body)]
    return [body[start:end] for start, end in pairwise(bounds) if end > start]


def without_usage(body: bytes, streamed: bool) -> bytes:
    """`body` as a provider would send it that reports no usage: OpenAI's usage chunk is gone, `usage` members too.

    Events and bodies that carry no figures stay as they are, byte for byte.
    """
    if not streamed:
        return _strip_json(body)
    return b"".join(_strip_event(event) for event in cut_body(body, "events"))


def _strip_event(event: bytes) -> bytes:
    for line in event.splitlines():
        if line.startswith(b"data:") and b'"usage"' in line:
            data = line[5:].strip()
            content = orjson.loads(data)
            if isinstance(content, dict) and content.get("usage") and content.get("choices") == []:
                return b""
            return event.replace(data, _strip_json(data))
    return event


def _strip_json(data: bytes) -> bytes:
    content = orjson.loads(data)
    return orjson.dumps(content) if _drop(content) else data


def _drop(content: Any) -> bool:
    """Takes every usage object out of `content`, at any depth; whether there was one (`usage: null` is none)."""
    own = isinstance(content, dict) and isinstance(content.get("usage"), dict)
    if own:
        del content["usage"]
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    within = [_drop(part) for part in parts]
    return own or any(within)
