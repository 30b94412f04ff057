"""Which headers of a request and of a response may be published: an allow-list, since a new header may be a secret."""

from collections.abc import Iterable, Mapping
from typing import Final

REQUEST_HEADERS: Final = frozenset(
    (
        "accept",
        "accept-encoding",
        "accept-language",
        "anthropic-beta",
        "anthropic-version",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "idempotency-key",
        "openai-beta",
        "openai-organization",
        "openai-project",
        "prefer",
        "traceparent",
        "tracestate",
        "transfer-encoding",
        "user-agent",
        "x-client-request-id",
        "x-request-id",
        "x-stainless-arch",
        "x-stainless-async",
        "x-stainless-helper-method",
        "x-stainless-lang",
        "x-stainless-os",
        "x-stainless-package-version",
        "x-stainless-read-timeout",
        "x-stainless-retry-count",
        "x-stainless-runtime",
        "x-stainless-runtime-version",
        "x-stainless-timeout",
    )
)
RESPONSE_HEADERS: Final = frozenset(
    (
        "alt-svc",
        "anthropic-organization-id",
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-output-tokens-limit",
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "cache-control",
        "cf-ray",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "openai-model",
        "openai-organization",
        "openai-processing-ms",
        "openai-version",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "server",
        "server-timing",
        "transfer-encoding",
        "vary",
        "via",
        "x-ratelimit-limit-requests",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
        "x-request-id",
        "x-robots-tag",
        "x-should-retry",
    )
)


Allowed = Mapping[bytes, str]
"""Lower-case names as they stand in a head, and as they are published."""


def allow(names: Iterable[str]) -> Allowed:
    """An allow-list of `names` (lower case)."""
    return {name.encode("latin-1"): name for name in names}


def published(headers: Iterable[tuple[bytes, bytes]], allowed: Allowed) -> dict[str, str]:
    """The headers that `allowed` names; a repeated one is joined by `, ` (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = allowed.get(name.lower())
        if key is not None:
            text = value.decode("latin-1")
            found[key] = f"{found[key]}, {text}" if key in found else text
    return found
