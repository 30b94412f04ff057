"""What a request asks for: which api, which model, streamed or not.

Paths and members follow the OpenAI API reference (chat completions, completions, embeddings), the Azure OpenAI
reference (deployments), the Anthropic API reference (messages) and Google's (Gemini API and Vertex AI: `models`, with
the method behind a colon).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import msgspec

from penstock.schemas.events import Api, Dialect

from .form import form_field
from .lenient import label, members

N_MAX: Final = 1024

_STREAMED: Final = "streamgeneratecontent"
_GOOGLE: Final[dict[str, Api]] = {
    "generatecontent": "gemini.generate",
    _STREAMED: "gemini.generate",
    "counttokens": "gemini.count_tokens",
    "embedcontent": "gemini.embed",
    "batchembedcontents": "gemini.embed",
}
_OF_GOOGLE: Final = frozenset(_GOOGLE.values())
UNCHARGED: Final = frozenset[Api](("anthropic.count_tokens", "gemini.count_tokens", "opaque"))
"""Requests that use no tokens, or whose tokens nobody here can see."""


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """What the tap must know of a request. `n` is how many replies were asked for, at least 1.

    `names`: requests of this kind name a model, so that one where none can be read hides it. `reports`: the answer may
    report usage of this very request. `background`: the answer goes on without the request. `of_response`: the id of
    such an answer, which the request fetches or cancels.
    """

    api: Api
    model: str = ""
    stream: bool = False
    include_usage: bool = False
    n: int = 1
    names: bool = False
    reports: bool = False
    background: bool = False
    of_response: str = ""


def api_of(dialect: Dialect, method: str, path: str) -> Api:
    """Which api a request line belongs to; `opaque` where none is known.

    The path decides, as the most lenient server routes it (percent-decoded, dot segments resolved, without parameters
    and case) and whatever prefix it has (`/openai/v1/…`, `/api/v1/…`, none); the dialect tells apart what it leaves
    open. A `dialect: opaque` upstream is never read into.
    """
    return _api_of(dialect, method, path.partition("?")[0])


@lru_cache(maxsize=1024)
def _api_of(dialect: Dialect, method: str, path: str) -> Api:
    if dialect == "opaque":
        return "opaque"
    if _fetched(method, path):
        return "openai.responses"
    if method.upper() != "POST":
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
        case [*_, "v1", "messages", "count_tokens"]:
            return "anthropic.count_tokens"
        case ["messages", "count_tokens"] if dialect == "anthropic":
            return "anthropic.count_tokens"
        case ["v1", "chat"] if dialect == "openai":
            return "openai.chat"
        case [*_, resource]:
            return _GOOGLE.get(resource.rpartition(":")[2] if ":" in resource else "", "opaque")
    return "opaque"


def read_request(dialect: Dialect, method: str, path: str, body: bytes | None) -> RequestInfo:
    """What the request asks for. Never raises.

    `body` None (larger than `tap.parse_max_bytes`, or compressed) gives what the path alone says.
    """
    api = api_of(dialect, method, path)
    if api in _OF_GOOGLE:
        return _google(api, path, body)
    bare, _, query = path.partition("?")
    response = label(_fetched(method, bare)) if api == "openai.responses" else ""
    if response:
        return RequestInfo(api=api, stream="true" in parse_qs(query).get("stream", ()), of_response=response)
    content = _content(api, body) if body and dialect != "opaque" else {}
    options = content.get("stream_options")
    return RequestInfo(
        api=api,
        model=label(content.get("model")) or label(_deployment(bare)),
        stream=content.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        n=_replies(api, content),
        names=api not in UNCHARGED or _renders(dialect, bare),
        reports=method.upper() == "POST" and dialect != "opaque" and not _of_batch(bare),
        background=api == "openai.responses" and content.get("background") is True,
    )


def _google(api: Api, path: str, body: bytes | None) -> RequestInfo:
    """Google's paths name the model and say whether the answer is streamed; the body says neither."""
    model, method = _resource(path.partition("?")[0])
    content = members(body) if body else {}
    config = content.get("generationConfig", content.get("generation_config"))
    config = config if isinstance(config, dict) else {}
    asked = config.get("candidateCount", config.get("candidate_count"))
    return RequestInfo(
        api=api, model=label(model), stream=method == _STREAMED, n=_bounded(asked), names=api not in UNCHARGED
    )


class _Asked(msgspec.Struct):
    """The members that decide anything; all others are passed over without being built."""

    model: str | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    n: int | None = None
    background: bool | None = None


_read_asked: Final = msgspec.json.Decoder(_Asked).decode


def _content(api: Api, body: bytes) -> dict[str, Any]:
    if api == "opaque" and not body.lstrip().startswith(b"{"):
        return {"model": form_field(body, "model")}
    if api != "openai.completions":
        try:
            asked = _read_asked(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        else:
            return {name: getattr(asked, name) for name in asked.__struct_fields__}
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


@lru_cache(maxsize=1024)
def _fetched(method: str, path: str) -> str:
    """The id in `GET /v1/responses/<id>` and `POST /v1/responses/<id>/cancel`; empty for any other request."""
    match [method.upper(), *_segments(path)]:
        case ["GET", *_, resource, found] if resource.lower() == "responses":
            return found
        case ["POST", *_, resource, found, act] if (resource.lower(), act.lower()) == ("responses", "cancel"):
            return found
    return ""


@lru_cache(maxsize=1024)
def _renders(dialect: Dialect, path: str) -> bool:
    """Whether a path makes or reads pictures or sound, which the tap passes on unread."""
    if dialect == "opaque":
        return False
    return _segments(path.lower())[-2:-1] in (["images"], ["audio"])


@lru_cache(maxsize=1024)
def _of_batch(path: str) -> bool:
    """Whether a path is about a batch: what that has used is not the use of the request that asks."""
    return "batches" in _segments(path.lower())


@lru_cache(maxsize=1024)
def _resource(path: str) -> tuple[str, str]:
    """The model and the method of `/v1beta/models/<model>:<method>`, the method in lower case."""
    segments = _segments(path)
    model, _, method = segments[-1].rpartition(":") if segments else ("", "", "")
    return model, method.lower()


def _bounded(asked: object) -> int:
    return min(max(asked, 1), N_MAX) if isinstance(asked, int) and not isinstance(asked, bool) else 1


def _replies(api: Api, content: dict[str, Any]) -> int:
    n = _bounded(content.get("n"))
    prompts = content.get("prompt")
    if api == "openai.completions" and isinstance(prompts, list) and prompts and isinstance(prompts[0], str | list):
        n *= len(prompts)
    return min(n, N_MAX)
