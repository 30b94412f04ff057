"""What a request asks for: which api, which model, streamed or not.

Paths and members follow the OpenAI API reference (chat completions, completions, embeddings), the Azure OpenAI
reference (deployments) and the Anthropic API reference (messages).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from penstock.schemas.events import Api, Dialect

from .lenient import label, members

N_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """What the tap must know of a request. `n` is how many replies were asked for, at least 1."""

    api: Api
    model: str = ""
    stream: bool = False
    include_usage: bool = False
    n: int = 1


def api_of(dialect: Dialect, method: str, path: str) -> Api:
    """Which api a request line belongs to; `opaque` where none is known.

    The path decides, as the most lenient server routes it (percent-decoded, dot segments resolved, without parameters
    and case) and whatever prefix it has (`/openai/v1/…`, `/api/v1/…`, none); the dialect tells apart what it leaves
    open. A `dialect: opaque` upstream is never read into.
    """
    return _api_of(dialect, method, path.partition("?")[0])


@lru_cache(maxsize=1024)
def _api_of(dialect: Dialect, method: str, path: str) -> Api:
    if method.upper() != "POST" or dialect == "opaque":
        return "opaque"
    match [part.lower() for part in _segments(path)]:
        case [*_, "chat", "completions"]:
            return "openai.chat"
        case [*_, "completions"]:
            return "openai.completions"
        case [*_, "responses"]:
            return "openai.responses"
        case [*_, "embeddings"]:
            return "embeddings"
        case [*_, "v1", "messages"]:
            return "anthropic.messages"
        case ["messages"] if dialect == "anthropic":
            return "anthropic.messages"
        case ["v1", "chat"] if dialect == "openai":
            return "openai.chat"
    return "opaque"


def read_request(dialect: Dialect, method: str, path: str, body: bytes | None) -> RequestInfo:
    """What the request asks for. Never raises.

    `body` None (larger than `tap.parse_max_bytes`, or compressed) gives what the path alone says.
    """
    api = api_of(dialect, method, path)
    content = _content(api, body) if api != "opaque" and body else {}
    options = content.get("stream_options")
    return RequestInfo(
        api=api,
        model=label(content.get("model")) or label(_deployment(path.partition("?")[0])),
        stream=content.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        n=_replies(api, content),
    )


class _Asked(msgspec.Struct):
    """The members that decide anything; all others are passed over without being built."""

    model: str | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    n: int | None = None


_read_asked: Final = msgspec.json.Decoder(_Asked).decode


def _content(api: Api, body: bytes) -> dict[str, Any]:
    if api != "openai.completions":
        try:
            asked = _read_asked(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        else:
            return {"model": asked.model, "stream": asked.stream, "stream_options": asked.stream_options, "n": asked.n}
    return members(body)


def _segments(path: str) -> list[str]:
    """RFC 3986: percent-decoded (2.1), without parameters (3.3), dot segments (5.2.4) and empty ones."""
    found: list[str] = []
    for part in unquote(path.partition("?")[0]).split("/"):
        segment = part.partition(";")[0]
        if segment == "..":
            del found[-1:]
        elif segment not in ("", "."):
            found.append(segment)
    return found


@lru_cache(maxsize=1024)
def _deployment(path: str) -> str:
    """The model that an Azure path names: `/openai/deployments/<name>/chat/completions`."""
    match _segments(path):
        case [*_, "deployments", found, "chat", "completions"] | [*_, "deployments", found, _]:
            return found
    return ""


def _replies(api: Api, content: dict[str, Any]) -> int:
    asked = content.get("n")
    n = asked if isinstance(asked, int) and not isinstance(asked, bool) else 1
    prompts = content.get("prompt")
    if api == "openai.completions" and isinstance(prompts, list) and prompts and isinstance(prompts[0], str | list):
        n *= len(prompts)
    return min(max(n, 1), N_MAX)
