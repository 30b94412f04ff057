"""How the tap speaks to a client in its provider's own words: the ending of a cut stream, and a refusal.

Error formats: OpenAI API reference ("Error codes"), Anthropic API reference ("Errors", and the `error` event of
"Streaming messages"), Google AIP-193, Amazon Bedrock runtime ("Common errors"), Ollama and Cohere API references.
That the SDKs raise from them is tested against openai, anthropic and google-genai themselves.
"""

import json
import re
from typing import Any, Final

from penstock.schemas.events import Api, Dialect

from .lenient import members
from .responses_reply import ENDS
from .sse import event_data

Header = tuple[str, str]

_ENDS: Final = re.compile(rb"response\.(?:completed|incomplete|failed|cancelled)|\berror\b")

_ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    431: "invalid_request_error",
    529: "overloaded_error",
}
_OPENAI_TYPES: Final = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "permission_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
}
_GOOGLE_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_ERROR_INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"
_RETRY_INFO: Final = "type.googleapis.com/google.rpc.RetryInfo"
_BEDROCK_TYPES: Final = {
    400: "ValidationException",
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    413: "ValidationException",
    429: "ThrottlingException",
    431: "ValidationException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}


def kill_ending(api: Api, message: str, code: str) -> bytes:
    """SSE bytes that end a running stream so that the provider's SDK raises; write them at an event border.

    openai raises APIError with `message`; from a Responses stream its SDK does so for an `error` member, while the
    API's reference names the members of the event itself: both are given. anthropic raises APIStatusError, google-genai
    ClientError. Empty for apis whose streams define no such ending: there the connection is closed.
    """
    if api in ("openai.chat", "openai.completions"):
        error = {"message": message, "type": "permission_error", "param": None, "code": code}
        return b"data: " + _json({"error": error}) + b"\n\ndata: [DONE]\n\n"
    if api == "openai.responses":
        error = {"message": message, "type": "permission_error", "param": None, "code": code}
        event = {"type": "error", "code": code, "message": message, "param": None, "error": error}
        return b"event: error\ndata: " + _json(event) + b"\n\n"
    if api == "anthropic.messages":
        return b"event: error\ndata: " + _json(_anthropic("permission_error", message, code)) + b"\n\n"
    if api == "gemini.generate":
        return b"data: " + kill_element(message, code) + b"\n\n"
    return b""


def kill_element(message: str, code: str) -> bytes:
    """The object that ends a stream of Gemini, as an SSE event's data or as the last element of a JSON array.

    google-genai raises what starts with `{"error":`; a status that clients do not try again.
    """
    return _json(_google(403, message, code, None))


def refusal(
    api: Api,
    dialect: Dialect,
    status: int,
    message: str,
    code: str,
    retry_after_s: int | None = None,
) -> tuple[list[Header], bytes]:
    """Headers and body of a refused request in the provider's error format.

    Content-Type and Content-Length are among the headers. `x-should-retry: false` stops the own retries of openai and
    anthropic (google-genai has none unless it is told to); `retry-after` stands where the moment is known (RFC 9110,
    10.2.3).
    """
    body = _json(_error(_speech(api, dialect), status, message, code, retry_after_s))
    headers = [
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("x-should-retry", "false"),
    ]
    if retry_after_s is not None:
        headers.append(("retry-after", str(max(0, retry_after_s))))
    if _speech(api, dialect) == "bedrock":
        headers.append(("x-amzn-errortype", _BEDROCK_TYPES.get(status, "InternalServerException")))
    return headers, body


def stream_terminal(api: Api, event: bytes) -> bool:
    """Whether `event` is the protocol's own last one (`[DONE]`, `message_stop`, an array's `]`)."""
    if api == "gemini.generate":
        return event.strip() == b"]"
    if api == "anthropic.messages":
        return b"message_stop" in event and _kind(event_data(event)) == "message_stop"
    if api == "openai.responses":
        return _ENDS.search(event) is not None and _kind(event_data(event)) in ENDS
    return len(event) < 64 and event_data(event).strip() == b"[DONE]"


def _speech(api: Api, dialect: Dialect) -> Dialect:
    maker = api.partition(".")[0]
    if maker in ("anthropic", "gemini"):
        return "anthropic" if maker == "anthropic" else "gemini"
    return dialect if api == "opaque" else "openai"


def _error(speech: Dialect, status: int, message: str, code: str, retry_after_s: int | None) -> dict[str, Any]:
    match speech:
        case "anthropic":
            return _anthropic(_ANTHROPIC_TYPES.get(status, "api_error"), message, code)
        case "gemini":
            return _google(status, message, code, retry_after_s)
        case "bedrock" | "cohere":
            return {"message": message}
        case "ollama":
            return {"error": message}
    kind = _OPENAI_TYPES.get(status, "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _google(status: int, message: str, code: str, retry_after_s: int | None) -> dict[str, Any]:
    """AIP-193: the machine-readable reason is an ErrorInfo, the moment to come again a RetryInfo."""
    details: list[dict[str, Any]] = [{"@type": _ERROR_INFO, "reason": code.upper(), "domain": "penstock"}]
    if retry_after_s is not None:
        details.append({"@type": _RETRY_INFO, "retryDelay": f"{max(0, retry_after_s)}s"})
    name = _GOOGLE_STATUS.get(status, "INTERNAL")
    return {"error": {"code": status, "message": message, "status": name, "details": details}}


def _anthropic(kind: str, message: str, code: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message, "code": code}}


def _kind(data: bytes) -> object:
    return members(data).get("type")


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()
