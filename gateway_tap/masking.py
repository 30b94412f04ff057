"""Pure: masks the caller's own credentials in bytes that come in pieces, at equal length, before they are published.

A piece whose end could be the beginning of a credential is held back by just that much, so that a credential cut in two
is found as well. What is published concatenates to the original but for the masked places; what is forwarded is never
touched.
"""

from collections.abc import Sequence

from penstock.wire.masks import Place, mask_body

Masked = tuple[bytes, list[Place]]


class Masker:
    """Masks one body. `feed` and `finish` together give every byte once, in order."""

    __slots__ = ("_credentials", "_longest", "_tail")

    def __init__(self, credentials: Sequence[bytes]) -> None:
        self._credentials = [credential for credential in credentials if credential]
        self._longest = max(map(len, self._credentials), default=0)
        self._tail = b""

    def feed(self, data: bytes) -> Masked:
        """What may be published now, and the masked places in it."""
        if not self._credentials:
            return data, []
        joined = self._tail + data
        keep = self._open(joined)
        cut = len(joined) - keep
        self._tail = joined[cut:]
        return self.whole(joined[:cut])

    def finish(self) -> Masked:
        """The bytes that were held back."""
        rest, self._tail = self._tail, b""
        return rest, []

    def whole(self, body: bytes) -> Masked:
        """`body` alone, without regard to what came before."""
        if any(credential in body for credential in self._credentials):
            return mask_body(body, self._credentials)
        return body, []

    def _open(self, data: bytes) -> int:
        """How many bytes at the end of `data` a longer read could turn into a credential."""
        longest = 0
        for size in range(min(self._longest - 1, len(data)), 0, -1):
            end = data[-size:]
            if any(size < len(credential) and credential.startswith(end) for credential in self._credentials):
                longest = size
                break
        return longest


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
