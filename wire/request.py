"""What a request asks for: which api, which model, streamed or not.

Paths and members follow the published references: OpenAI API reference (chat completions, completions, embeddings) and
Anthropic API reference (messages).
"""

from dataclasses import dataclass

from penstock.schemas.events import Api, Dialect


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """What the tap must know of a request. `n` is how many replies were asked for, at least 1."""

    api: Api
    model: str = ""
    stream: bool = False
    include_usage: bool = False
    n: int = 1


def api_of(dialect: Dialect, method: str, path: str) -> Api:
    """Which api a request line belongs to; `opaque` where none is known. The path decides before the dialect."""
    raise NotImplementedError


def read_request(dialect: Dialect, method: str, path: str, body: bytes | None) -> RequestInfo:
    """What the request asks for. Never raises.

    `body` None (larger than `tap.parse_max_bytes`, or compressed) gives what the path says alone.
    """
    raise NotImplementedError
