"""Pure: masks the caller's own credentials in bytes that come in pieces, at equal length, before they are published.

The end of a piece is held back only where it may be the beginning of a credential, in whatever writing. What is
published concatenates to the original but for the masked places; what is forwarded is never touched.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from penstock.wire.escapes import begins_at
from penstock.wire.masks import Place, mask_body, mask_text, maskable

Masked = tuple[bytes, list[Place]]

LONGEST_WRITING: Final = 6
"""Bytes that one byte of a credential takes at most: `\\u0073`."""


class Masker:
    """Masks what one exchange publishes. `feed` and `finish` together give every byte of a body once, in order."""

    __slots__ = ("_credentials", "_longest", "_tail")

    def __init__(self, credentials: Sequence[bytes]) -> None:
        self._credentials = maskable(credentials)
        self._longest = 0
        self._tail = b""

    @property
    def held_bytes(self) -> int:
        """How many bytes wait for what comes next."""
        return len(self._tail)

    def feed(self, data: bytes) -> Masked:
        """What may be published now, and the masked places in it."""
        if not self._credentials:
            return data, []
        if not self._longest:
            self._longest = max(map(len, self._credentials)) * LONGEST_WRITING - 1
        body, places = mask_body(self._tail + data, self._credentials)
        cut = begins_at(body, self._credentials, self._longest)
        self._tail = body[cut:]
        return body[:cut], places

    def finish(self, data: bytes = b"") -> Masked:
        """As `feed`, and nothing follows: nothing is held back."""
        body, self._tail = self._tail + data, b""
        return self.whole(body)

    def whole(self, body: bytes) -> Masked:
        """`body` alone, without regard to what came before."""
        if not self._credentials:
            return body, []
        return mask_body(body, self._credentials)

    def record(self, content: bytes) -> bytes:
        """A head or completion as JSON, with credentials masked inside its texts: never its syntax or its names."""
        if not self.whole(content)[1]:
            return content
        return orjson.dumps(self._clean(orjson.loads(content)))

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return mask_text(value, self._credentials)
        if isinstance(value, dict):
            return {name: self._clean(item) for name, item in value.items()}
        return [self._clean(item) for item in value] if isinstance(value, list) else value


def written(places: list[Place]) -> bytes:
    """The `redacted` member of an event, with its comma; empty where nothing was masked."""
    if not places:
        return b""
    return b',"redacted":"%b"' % ",".join(f"{start}-{end}" for start, end in places).encode()


def cut_places(places: list[Place], start: int, end: int) -> list[Place]:
    """The parts of `places` that lie within `start`…`end`, counted from `start`."""
    return [
        (max(first, start) - start, min(last, end) - start) for first, last in places if first < end and last > start
    ]
