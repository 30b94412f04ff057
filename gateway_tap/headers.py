"""Pure: message heads, taken apart and built again. Framing is never copied: the tap writes its own.

Hop-by-hop fields (RFC 9110, 7.6.1; RFC 9112, 9.6) end here, with every field that `Connection` names.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

Headers = list[tuple[bytes, bytes]]
"""As they came: names as written, repeated ones repeated."""
Fields = dict[bytes, bytes]

HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
        b"content-length",
        b"keep_alive",
        b"proxy_connection",
        b"proxy_authenticate",
        b"proxy_authorization",
        b"transfer_encoding",
        b"http2_settings",
        b"content_length",
    }
)
"""Never forwarded in either direction; framing among them, since it is rebuilt. Written with `_` too: what stands
behind an upstream may read both as one name (RFC 3875, 4.1.18)."""

LENGTH_MAX_DIGITS: Final = 18

OWN: Final = b"x-penstock-"
EXCHANGE_ID: Final = b"x-penstock-exchange-id"
REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}


def fields_of(headers: Headers) -> Fields:
    """The headers by lower-case name; of a repeated one the first."""
    fields: Fields = {}
    for key, value in headers:
        fields.setdefault(key.lower(), value)
    return fields


def find_all(headers: Headers, name: bytes) -> list[bytes]:
    """All values of `name` (lower case), in order."""
    return [value for key, value in headers if key.lower() == name]


def joined(headers: Headers, fields: Fields, name: bytes) -> bytes:
    """The value of `name` (lower case), of a repeated one all values (RFC 9110, 5.3); empty where it is not there."""
    return b", ".join(find_all(headers, name)) if name in fields else b""


def read_length(value: bytes) -> int | None:
    """A Content-Length (RFC 9110, 8.6); None where it is no plain number, or larger than any body. Spaces and tabs
    around it are no part of it (5.5), and are there: llhttp leaves a tab."""
    digits = value.strip(b" \t")
    return int(digits) if digits.isdigit() and len(digits) <= LENGTH_MAX_DIGITS else None


def end_to_end(headers: Headers, dropped: frozenset[bytes] = HOP) -> Headers:
    """`headers` without the names in `dropped` (hop-by-hop fields, at least) and what `Connection` names."""
    for key, value in headers:
        if len(key) == 10 and key.lower() == b"connection":
            dropped |= {name.strip().lower() for name in value.split(b",")}
    return [(key, value) for key, value in headers if key.lower() not in dropped]


_TO_UPSTREAM: Final = HOP | {b"host", b"expect"}
_TO_CLIENT: Final = HOP | {EXCHANGE_ID}


def request_head(
    method: str, target: bytes, authority: bytes, headers: Headers, content_length: int | None, chunked: bool
) -> bytes:
    """The head for an upstream: our framing, its own Host, none of our own `x-penstock-…` fields."""
    lines = [b"%b %b HTTP/1.1\r\nhost: %b" % (method.encode(), target, authority)]
    lines += [b"%b: %b" % (key, value) for key, value in end_to_end(headers, _TO_UPSTREAM) if key[:11].lower() != OWN]
    if chunked:
        lines.append(b"transfer-encoding: chunked")
    elif content_length is not None:
        lines.append(b"content-length: %d" % content_length)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def response_head(status: int, reason: bytes, headers: Headers, framing: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head for a client: what the upstream said end to end, and `framing` (ours)."""
    lines = [b"HTTP/1.1 %d %b" % (status, reason or REASONS.get(status, b""))]
    lines += [b"%b: %b" % pair for pair in end_to_end(headers, _TO_CLIENT)]
    lines += [b"%b: %b" % pair for pair in framing]
    return b"\r\n".join(lines) + b"\r\n\r\n"
