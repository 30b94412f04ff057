"""Pure: answers in Anthropic's words (API reference: messages, streaming messages, models, errors)."""

from collections.abc import Iterator
from typing import Any

import orjson

from .endpoint_plan import Plan, Reply
from .endpoint_text import batches

_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def events(plan: Plan) -> Iterator[tuple[bytes, int, str]]:
    """A message's stream, `message_start` to `message_stop`: each event, and the text that it carries of reply 0."""
    reply = plan.replies[0]
    opening = {**_message(plan), "content": [], "stop_reason": None, "stop_sequence": None}
    if not plan.asks.mute:
        opening["usage"] = {**_usage(plan), "output_tokens": 1}
    yield _event({"type": "message_start", "message": opening}), 0, ""
    block = {"type": "text", "text": ""}
    yield _event({"type": "content_block_start", "index": 0, "content_block": block}), 0, ""
    yield _event({"type": "ping"}), 0, ""
    for text in batches(reply.pieces, plan.stem):
        delta = {"type": "text_delta", "text": text}
        yield _event({"type": "content_block_delta", "index": 0, "delta": delta}), 0, text
    yield _event({"type": "content_block_stop", "index": 0}), 0, ""
    end: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": _stop(reply), "stop_sequence": None}}
    if not plan.asks.mute:
        end["usage"] = {"output_tokens": reply.tokens}
    yield _event(end), 0, ""
    yield _event({"type": "message_stop"}), 0, ""


def body(plan: Plan) -> bytes:
    """The whole message of a request that is not streamed, or the count that was asked for."""
    if plan.api == "anthropic.count_tokens":
        return orjson.dumps({"input_tokens": plan.input_tokens})
    reply = plan.replies[0]
    content: dict[str, Any] = {
        **_message(plan),
        "content": [{"type": "text", "text": reply.text}],
        "stop_reason": _stop(reply),
        "stop_sequence": None,
    }
    if not plan.asks.mute:
        content["usage"] = {**_usage(plan), "output_tokens": reply.tokens}
    return orjson.dumps(content)


def error_body(status: int, message: str, request_id: str) -> bytes:
    """An error as Anthropic words it."""
    kind = _ERRORS.get(status, "api_error")
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id})


def models(names: tuple[str, ...]) -> bytes:
    """The list of models."""
    rows = [{"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"} for name in names]
    return orjson.dumps({"data": rows, "has_more": False, "first_id": names[0], "last_id": names[-1]})


def _event(content: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (content["type"].encode(), orjson.dumps(content))


def _message(plan: Plan) -> dict[str, Any]:
    return {"id": f"msg_01{plan.stem[:22]}", "type": "message", "role": "assistant", "model": plan.model}


def _usage(plan: Plan) -> dict[str, Any]:
    return {
        "input_tokens": plan.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "service_tier": "standard",
    }


def _stop(reply: Reply) -> str:
    return "end_turn" if reply.whole else "max_tokens"
