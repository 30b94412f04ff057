"""Pure: from a request to the plan of its answer. The same request always has the same plan."""

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from penstock.schemas.events import Api, Dialect
from penstock.wire.prompt import count_prompt
from penstock.wire.request import api_of, read_request
from penstock.wire.tokens import count_text, encoding_for

from .endpoint_asks import Asks, read_asks
from .endpoint_http import Request
from .endpoint_text import compose

LIMIT_MEMBERS: Final = ("max_completion_tokens", "max_tokens", "maxOutputTokens")
_COUNTED: Final[dict[Api, Api]] = {
    "anthropic.count_tokens": "anthropic.messages",
    "gemini.count_tokens": "gemini.generate",
}
"""Requests that ask for a count, and how what they would have is counted."""
_WITH_TEXT: Final = frozenset[Api](("openai.chat", "openai.completions", "anthropic.messages", "gemini.generate"))
_SERVED: Final = _WITH_TEXT | _COUNTED.keys() | {"embeddings"}


class BadRequest(Exception):
    """The request cannot be answered; status and message go to the client."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Reply:
    """One choice. `whole` is False where the caller's token limit ended it."""

    pieces: list[str]
    tokens: int
    whole: bool

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be answered. `stem` makes ids and times that depend on the request alone; `array`: Google's stream is
    asked for as a JSON array."""

    api: Api
    dialect: Dialect
    model: str
    stream: bool
    include_usage: bool
    asks: Asks
    stem: str
    input_tokens: int
    replies: list[Reply]
    content: dict[str, Any] = field(repr=False)
    array: bool = False

    @property
    def output_tokens(self) -> int:
        return sum(reply.tokens for reply in self.replies)

    @property
    def created_s(self) -> int:
        """A time in 2026 that the request alone decides."""
        return 1_767_225_600 + int(self.stem[:6], 16)


def dialect_of(request: Request) -> Dialect:
    """Whose words to speak: Google's path tells, and Anthropic's SDK always sends its version header."""
    if api_of("gemini", request.method, request.target).startswith("gemini."):
        return "gemini"
    named = "anthropic-version" in request.headers or "/v1/messages" in request.target
    return "anthropic" if named else "openai"


def make_plan(request: Request) -> Plan:
    """The plan for a request with a JSON body. BadRequest says what the caller did wrong."""
    dialect = dialect_of(request)
    info = read_request(dialect, request.method, request.target, request.body)
    if info.api not in _SERVED:
        raise BadRequest(f"unknown path: {request.target.partition('?')[0]}", 404)
    content = _content(request.body)
    if not info.model:
        raise BadRequest("you must provide a model parameter")
    asks = read_asks(request.headers, request.body.decode("utf-8", "replace"))
    stem = hashlib.sha256(request.target.encode() + b"\x00" + request.body).hexdigest()
    replies = []
    if info.api in _WITH_TEXT:
        replies = [_reply(content, info.api, info.model, asks, f"{stem}/{index}") for index in range(info.n)]
    return Plan(
        api=info.api,
        dialect=dialect,
        model=info.model,
        stream=info.stream,
        include_usage=info.include_usage,
        asks=asks,
        stem=stem,
        input_tokens=count_prompt(_COUNTED.get(info.api, info.api), info.model, request.body).tokens,
        replies=replies,
        content=content,
        array=info.stream and dialect == "gemini" and "alt=sse" not in request.target,
    )


def _content(body: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise BadRequest("the body must be a JSON object")
    return content


def _reply(content: dict[str, Any], api: Api, model: str, asks: Asks, seed: str) -> Reply:
    wanted = asks.tokens if asks.tokens is not None else 40 + int(seed[:4], 16) % 121
    pieces = compose(seed, wanted)
    method = encoding_for(model, api)
    asked = content.get("generationConfig") if api == "gemini.generate" else content
    asked = asked if isinstance(asked, dict) else {}
    limits = [value for name in LIMIT_MEMBERS if isinstance(value := asked.get(name), int) and value > 0]
    if limits and count_text(method, "".join(pieces)) > limits[0]:
        pieces = pieces[: max(1, math.floor((limits[0] - method.offset) / method.factor))]
    return Reply(pieces, count_text(method, "".join(pieces)), whole=len(pieces) == wanted)
