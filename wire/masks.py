"""What must not be published: credentials in headers, paths and bodies.

Places that authenticate are those of DESIGN 6.6: Authorization and Proxy-Authorization (RFC 9110, 11), the key headers
of the providers, Cookie (RFC 6265), query parameters, userinfo (RFC 3986, 3.2.1), WebSocket subprotocols.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from .escapes import Haystack, Place
from .published import REQUEST_HEADERS, RESPONSE_HEADERS, Allowed, allow, published

__all__ = [
    "REQUEST_HEADERS",
    "RESPONSE_HEADERS",
    "SHORTEST_BYTES",
    "Allowed",
    "Place",
    "allow",
    "credentials_of",
    "mask_body",
    "mask_path",
    "mask_text",
    "maskable",
    "published",
]

SHORTEST_BYTES: Final = 8
"""A shorter credential is not looked for in bodies: `test` or `dummy` would blot out ordinary words, and protects
nothing. In headers and paths it is left out as any other."""

_WORD: Final = re.compile(rb"[a-z][a-z_. /-]{0,30}")
"""A caller chooses what it sends as a credential: `completion_tokens` in a spare header must not blot out the figures
that it is charged by."""

_KEY_HEADERS: Final = (
    b"x-api-key",
    b"api-key",
    b"x-goog-api-key",
    b"x-amz-security-token",
    b"ocp-apim-subscription-key",
)
_TELLING: Final = frozenset(
    (*_KEY_HEADERS, b"authorization", b"proxy-authorization", b"cookie", b"sec-websocket-protocol")
)
_QUERY: Final = re.compile(
    r"([?&;])((?:x-)?(?:[a-z0-9]+[-_])*(?:key|apikey|token|auth|authorization|signature|sig|secret|password|passwd|pwd"
    r"|credential|jwt|code))=([^&;#]*)",
    re.IGNORECASE,
)
_USERINFO: Final = re.compile(r"^([a-z][a-z0-9+.-]*://)([^/?#@]*)@", re.IGNORECASE)
_SUBPROTOCOL: Final = re.compile(
    rb"^(?:openai-insecure-api-key|authorization|bearer|token|base64url\.bearer\.[^,]*?)\.(.+)$", re.I
)


def mask_path(path: str) -> str:
    """`path` with what authenticates masked by `*` at equal length: values of such query parameters, and userinfo.

    Names are compared without case and percent-encoding: `key`, `api_key`, `access_token`, `x-amz-signature`, ….
    """
    if "=" not in path and "@" not in path:
        return path
    path = _USERINFO.sub(lambda found: found[1] + "*" * len(found[2]) + "@", path)
    if "%" in path.partition("?")[2]:
        return _masked_query(path)
    return _QUERY.sub(lambda found: f"{found[1]}{found[2]}={'*' * len(found[3])}", path)


def _masked_query(path: str) -> str:
    head, mark, query = path.partition("?")
    parts = re.split(r"([&;])", query)
    for place, part in enumerate(parts):
        name, equals, value = part.partition("=")
        clear = unquote_to_bytes(name).decode("latin-1")
        if equals and _QUERY.fullmatch(f"?{clear}="):
            parts[place] = f"{name}={'*' * len(value)}"
    return head + mark + "".join(parts)


def credentials_of(
    headers: Iterable[tuple[bytes, bytes]], path: str, credential_headers: Sequence[str] = ()
) -> list[bytes]:
    """Every credential that a request carries, without repetition; the first is the one that says who calls.

    Order: the configured headers, Authorization, the providers' key headers, query parameters, subprotocols, userinfo,
    Proxy-Authorization, cookies. `Bearer` and other schemes are taken off; of `Basic` the user and password follow.
    """
    configured = [name.lower().encode("latin-1") for name in credential_headers]
    fields: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        key = name.lower()
        if key in _TELLING or key in configured:
            fields.setdefault(key, []).append(value.strip())
    found: list[bytes] = []
    for wanted in (*configured, b"authorization"):
        found += [part for value in fields.get(wanted, ()) for part in _authorization(value)]
    for wanted in _KEY_HEADERS:
        found += fields.get(wanted, ())
    if "=" in path or "@" in path:
        found += _in_path(path)
    for value in fields.get(b"sec-websocket-protocol", ()):
        found += [part[1] for item in value.split(b",") if (part := _SUBPROTOCOL.match(item.strip()))]
    found += [part for value in fields.get(b"proxy-authorization", ()) for part in _authorization(value)]
    for value in fields.get(b"cookie", ()):
        found += [item.partition(b"=")[2].strip().strip(b'"') for item in value.split(b";")]
    return [value for value in dict.fromkeys(found) if value]


def _authorization(value: bytes) -> Iterator[bytes]:
    scheme, space, rest = value.partition(b" ")
    if not space:
        yield value
    elif scheme.upper().startswith(b"AWS4-"):
        signature = re.search(rb"Signature=([0-9a-fA-F]+)", rest)
        yield signature[1] if signature else rest
    else:
        yield rest.strip()
    if scheme.lower() == b"basic":
        try:
            pair = base64.b64decode(rest, validate=True)
        except binascii.Error:
            return
        yield pair
        yield pair.partition(b":")[2]


def _in_path(path: str) -> Iterator[bytes]:
    for part in re.split(r"[&;]", path.partition("?")[2].partition("#")[0]):
        name, _, value = part.partition("=")
        if _QUERY.fullmatch(f"?{unquote_to_bytes(name).decode('latin-1')}="):
            yield unquote_to_bytes(value.replace("+", " "))
            yield value.encode("latin-1", "replace")
    userinfo = _USERINFO.match(path)
    if userinfo:
        yield unquote_to_bytes(userinfo[2])
        yield unquote_to_bytes(userinfo[2].partition(":")[2])


def maskable(credentials: Iterable[bytes]) -> list[bytes]:
    """Those of `credentials` that are looked for in bodies: at least 8 bytes, no plain lower-case word or phrase of
    less than 32, and without a quotation mark (in JSON it could only stand escaped, and would match the syntax)."""
    return [
        credential
        for credential in credentials
        if len(credential) >= SHORTEST_BYTES and b'"' not in credential and not _WORD.fullmatch(credential)
    ]


def mask_text(text: str, credentials: Sequence[bytes]) -> str:
    """`text` with the credentials in it masked, each character for one byte of them."""
    masked, places = mask_body(text.encode(), credentials)
    return masked.decode(errors="replace") if places else text


def mask_body(body: bytes, credentials: Sequence[bytes]) -> tuple[bytes, list[Place]]:
    """`body` with each of `credentials` (see `maskable`) masked by `*` at equal length, and the places, in order.

    Found as it is, with JSON escapes (`\\/`, `\\u0073`) and percent-encoded, in any mixture of these.
    """
    if b"\\" not in body and b"%" not in body:
        for credential in credentials:
            if credential in body:
                break
        else:
            return body, []
    haystack = Haystack(body)
    places = _joined([place for credential in credentials for place in haystack.find(credential)])
    if not places:
        return body, []
    masked = bytearray(body)
    for start, end in places:
        masked[start:end] = b"*" * (end - start)
    return bytes(masked), places


def _joined(places: list[Place]) -> list[Place]:
    joined: list[Place] = []
    for start, end in sorted(places):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
