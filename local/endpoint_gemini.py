"""Pure: answers in Google's words (Gemini API reference: generateContent, countTokens, models; AIP-193)."""

from collections.abc import Iterator
from typing import Any, Final

import orjson

from .endpoint_plan import Plan, Reply
from .endpoint_text import batches

_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def events(plan: Plan) -> Iterator[tuple[bytes, int, str]]:
    """A stream, as events or (`plan.array`) as elements of an array: each chunk, and the text that it carries."""
    reply = plan.replies[0]
    texts = list(batches(reply.pieces, plan.stem)) or [""]
    for number, text in enumerate(texts):
        last = number == len(texts) - 1
        content = _chunk(plan, text, _finish(reply) if last else "")
        if last and not plan.asks.mute:
            content["usageMetadata"] = _usage(plan, reply.tokens)
        yield _written(plan, content, first=number == 0, last=last), 0, text


def body(plan: Plan) -> bytes:
    """The whole answer of a request that is not streamed, or the count that was asked for."""
    if plan.api == "gemini.count_tokens":
        return orjson.dumps({"totalTokens": plan.input_tokens})
    reply = plan.replies[0]
    content = _chunk(plan, reply.text, _finish(reply))
    if not plan.asks.mute:
        content["usageMetadata"] = _usage(plan, reply.tokens)
    return orjson.dumps(content)


def error_body(status: int, message: str) -> bytes:
    """An error as Google words it."""
    error = {"code": status, "message": message, "status": _STATUS.get(status, "INTERNAL")}
    return orjson.dumps({"error": error})


def _written(plan: Plan, content: dict[str, Any], *, first: bool, last: bool) -> bytes:
    data = orjson.dumps(content)
    if not plan.array:
        return b"data: %b\r\n\r\n" % data
    return (b"[" if first else b",\r\n") + data + (b"\n]" if last else b"\n")


def _chunk(plan: Plan, text: str, reason: str) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "modelVersion": plan.model, "responseId": plan.stem[:22]}


def _usage(plan: Plan, output_tokens: int) -> dict[str, int]:
    return {
        "promptTokenCount": plan.input_tokens,
        "candidatesTokenCount": output_tokens,
        "totalTokenCount": plan.input_tokens + output_tokens,
    }


def _finish(reply: Reply) -> str:
    return "STOP" if reply.whole else "MAX_TOKENS"
