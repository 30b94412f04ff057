"""Pure: answers in OpenAI's words (API reference: chat completions, completions, embeddings, models, errors)."""

import base64
import struct
from collections.abc import Iterator
from typing import Any

import orjson

from .endpoint_plan import Plan, Reply
from .endpoint_text import vector

DONE = b"data: [DONE]\n\n"
Sent = tuple[bytes, int, str]
"""An event, and the text that it carries of which reply."""

_ERRORS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def events(plan: Plan) -> Iterator[Sent]:
    """The stream of a chat completion or a completion, from its first event to `[DONE]`."""
    chat = plan.api == "openai.chat"
    for index in range(len(plan.replies)) if chat else ():
        yield _event(plan, [_delta(index, {"role": "assistant", "content": "", "refusal": None})]), index, ""
    for place in range(max((len(reply.pieces) for reply in plan.replies), default=0)):
        for index, reply in enumerate(plan.replies):
            if place < len(reply.pieces):
                piece = reply.pieces[place]
                yield _event(plan, [_delta(index, {"content": piece}) if chat else _text(index, piece)]), index, piece
    for index, reply in enumerate(plan.replies):
        end = _finish(reply)
        yield _event(plan, [_delta(index, {}, end) if chat else _text(index, "", end)]), index, ""
    if plan.include_usage and not plan.asks.mute:
        yield _event(plan, [], usage(plan)), 0, ""
    yield DONE, 0, ""


def body(plan: Plan) -> bytes:
    """The whole answer of a request that is not streamed."""
    if plan.api == "embeddings":
        return _embeddings(plan)
    content: dict[str, Any] = {**_head(plan, streamed=False), "choices": _choices(plan)}
    if not plan.asks.mute:
        content["usage"] = usage(plan)
    return orjson.dumps(content)


def usage(plan: Plan) -> dict[str, Any]:
    """The usage object: true to the text of the whole answer."""
    figures = {
        "prompt_tokens": plan.input_tokens,
        "completion_tokens": plan.output_tokens,
        "total_tokens": plan.input_tokens + plan.output_tokens,
    }
    if plan.api != "openai.chat":
        return figures
    return {
        **figures,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def error_body(status: int, message: str) -> bytes:
    """An error as OpenAI words it."""
    kind, code = _ERRORS.get(status, ("server_error", None))
    return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def models(names: tuple[str, ...]) -> bytes:
    """The list of models."""
    rows = [{"id": name, "object": "model", "created": 1_767_225_600, "owned_by": "local"} for name in names]
    return orjson.dumps({"object": "list", "data": rows})


def _event(plan: Plan, choices: list[dict[str, Any]], figures: dict[str, Any] | None = None) -> bytes:
    content: dict[str, Any] = {**_head(plan, streamed=True), "choices": choices}
    if plan.include_usage and not plan.asks.mute:
        content["usage"] = figures
    return b"data: %b\n\n" % orjson.dumps(content)


def _head(plan: Plan, *, streamed: bool) -> dict[str, Any]:
    if plan.api == "openai.completions":
        return {
            "id": f"cmpl-{plan.stem[:29]}",
            "object": "text_completion",
            "created": plan.created_s,
            "model": plan.model,
        }
    return {
        "id": f"chatcmpl-{plan.stem[:29]}",
        "object": "chat.completion.chunk" if streamed else "chat.completion",
        "created": plan.created_s,
        "model": plan.model,
        "service_tier": "default",
        "system_fingerprint": "fp_local",
    }


def _choices(plan: Plan) -> list[dict[str, Any]]:
    if plan.api == "openai.completions":
        return [_text(index, reply.text, _finish(reply)) for index, reply in enumerate(plan.replies)]
    return [
        {
            "index": index,
            "message": {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": _finish(reply),
        }
        for index, reply in enumerate(plan.replies)
    ]


def _delta(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _text(index: int, text: str, finish_reason: str | None = None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish_reason}


def _finish(reply: Reply) -> str:
    return "stop" if reply.whole else "length"


def _embeddings(plan: Plan) -> bytes:
    given = plan.content.get("input")
    inputs = given if isinstance(given, list) and not (given and isinstance(given[0], int)) else [given]
    wanted = plan.content.get("dimensions")
    dimensions = wanted if isinstance(wanted, int) and 0 < wanted <= 4096 else 1536
    rows = []
    for index, one in enumerate(inputs):
        values = vector(f"{plan.model}/{one}", dimensions)
        packed = base64.b64encode(struct.pack(f"<{dimensions}f", *values)).decode()
        embedding = packed if plan.content.get("encoding_format") == "base64" else values
        rows.append({"object": "embedding", "index": index, "embedding": embedding})
    content: dict[str, Any] = {"object": "list", "data": rows, "model": plan.model}
    if not plan.asks.mute:
        content["usage"] = {"prompt_tokens": plan.input_tokens, "total_tokens": plan.input_tokens}
    return orjson.dumps(content)
