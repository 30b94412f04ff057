"""What a request asks for: which api, which model, streamed or not.

Paths and members follow the OpenAI API reference (chat completions, completions, embeddings), the Azure OpenAI
reference (deployments) and the Anthropic API reference (messages).
"""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import orjson

from penstock.schemas.events import Api, Dialect

MODEL_MAX_CHARS: Final = 256
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

    The path decides, whatever prefix it has (`/openai/v1/…`, `/api/v1/…`, none); the dialect tells apart what a path
    leaves open. A `dialect: opaque` upstream is never read into.
    """
    if method.upper() != "POST" or dialect == "opaque":
        return "opaque"
    parts = [part for part in path.partition("?")[0].split("/") if part]
    match parts:
        case [*_, "chat", "completions"]:
            return "openai.chat"
        case [*_, "completions"]:
            return "openai.completions"
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
    content = _members(body) if api != "opaque" and body else {}
    model = content.get("model")
    options = content.get("stream_options")
    return RequestInfo(
        api=api,
        model=(model if isinstance(model, str) and model else _deployment(path))[:MODEL_MAX_CHARS],
        stream=content.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        n=_replies(api, content),
    )


def _members(body: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def _deployment(path: str) -> str:
    """The model that an Azure path names: `/openai/deployments/<name>/chat/completions`."""
    match [part for part in path.partition("?")[0].split("/") if part]:
        case [*_, "deployments", name, "chat", "completions"] | [*_, "deployments", name, _]:
            return unquote(name)
    return ""


def _replies(api: Api, content: dict[str, Any]) -> int:
    asked = content.get("n")
    n = asked if isinstance(asked, int) and not isinstance(asked, bool) else 1
    prompts = content.get("prompt")
    if api == "openai.completions" and isinstance(prompts, list) and prompts and isinstance(prompts[0], str | list):
        n *= len(prompts)
    return min(max(n, 1), N_MAX)
