"""The fast form of `events.PromptHead` and `events.Completion`: what the tap writes once per exchange.

The pydantic models are the contract; a test holds names, order and defaults of both forms together, and that either
reads what the other wrote.
"""

from typing import Any

import msgspec

from .events import AppliedOrder, Identity

_encode = msgspec.json.Encoder().encode
EMPTY: dict[str, str] = {}


class Head(msgspec.Struct, kw_only=True):
    """`PromptHead`. `identity`: a JSON object as `identity_json` writes it."""

    v: int = 1
    method: str
    path: str
    upstream: str
    dialect: str
    api: str
    model: str = ""
    stream: bool = False
    headers: dict[str, str] = EMPTY
    identity: msgspec.Raw
    tap: str
    mode: str
    audit: str
    policy_version: str = ""
    added: list[str] = []
    trace_id: str = ""
    parent_span_id: str = ""
    span_id: str = ""

    def json(self) -> bytes:
        """The body of an exchange's first event."""
        return _encode(self)


class End(msgspec.Struct, kw_only=True):
    """`Completion`. `killed_by` and `observed`: objects as `order_members` writes them."""

    v: int = 1
    outcome: str
    status: int
    upstream_status: int = 0
    reason: str = ""
    finish_reason: str = ""
    model: str = ""
    response_id: str = ""
    headers: dict[str, str] = EMPTY
    content_type: str = ""
    content_encoding: str = ""
    request_encoding: str = ""
    usage: list[dict[str, Any]] = []
    chunk_count: int = 0
    request_bytes: int = 0
    request_sha256: str = ""
    response_bytes: int = 0
    response_sha256: str = ""
    client_bytes: int = 0
    client_sha256: str = ""
    started_at_us: int
    ended_at_us: int
    ttft_us: int | None = None
    duration_us: int = 0
    killed_by: dict[str, Any] | None = None
    observed: list[dict[str, Any]] = []
    attempts: int = 1
    retried: list[str] = []
    recovered: bool = False

    def json(self) -> bytes:
        """The body of an exchange's last event."""
        return _encode(self)


def identity_json(identity: Identity) -> msgspec.Raw:
    """An identity as JSON, to be written into many heads."""
    return msgspec.Raw(identity.model_dump_json().encode())


def order_members(order: AppliedOrder) -> dict[str, Any]:
    """An applied order as plain members."""
    return order.model_dump()
