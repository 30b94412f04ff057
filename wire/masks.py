"""What must not be published: credentials in headers, paths and bodies; and which headers may be."""

from collections.abc import Iterable, Sequence

Place = tuple[int, int]
"""First byte and the byte after the last."""

REQUEST_HEADERS: frozenset[str] = frozenset()
RESPONSE_HEADERS: frozenset[str] = frozenset()


def published(headers: Iterable[tuple[bytes, bytes]], allowed: frozenset[str]) -> dict[str, str]:
    """The headers (lower-case names) that `allowed` names; a repeated one is joined by `, `."""
    raise NotImplementedError


def mask_path(path: str) -> str:
    """`path` with the values of query parameters that authenticate, and userinfo, masked by `*` at equal length."""
    raise NotImplementedError


def credentials_of(
    headers: Iterable[tuple[bytes, bytes]], path: str, credential_headers: Sequence[str] = ()
) -> list[bytes]:
    """Every credential that a request carries, the most telling first: see docs."""
    raise NotImplementedError


def mask_body(body: bytes, credentials: Sequence[bytes]) -> tuple[bytes, list[Place]]:
    """`body` with each credential masked by `*` at equal length, and the places."""
    raise NotImplementedError
