"""Who is behind a credential, remembered: most requests of a minute come from a few callers.

Only a keyed digest of a credential is kept, under a key that lives as long as the process; what is remembered is
dropped when a key record changes. Callers that claim an identity, and keys that expire, are judged anew each time.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from penstock.schemas.written import identity_json

from .headers import Fields
from .identity import CLAIMS, Caller, Keys, Trusted, identify, scopes_of

REMEMBERED_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Known:
    """A caller, with what each of its exchanges repeats: its identity as JSON, and its scopes but the model's."""

    caller: Caller
    written: msgspec.Raw
    scopes: tuple[str, ...]


class Callers:
    """Finds callers by their credentials."""

    def __init__(self, keys: Keys, trusted: Trusted, pepper: bytes) -> None:
        self._keys, self._trusted, self._pepper = keys, trusted, pepper
        self._salt = os.urandom(32)
        self._known: dict[bytes, Known] = {}
        self._generation = -1

    def find(self, credentials: Sequence[bytes], fields: Fields, address: str, now_us: int) -> Known:
        """As `identity.identify`, from memory where nothing about the caller can have changed."""
        if not fields.keys().isdisjoint(CLAIMS):
            return self._identified(credentials, fields, address, now_us)
        if self._generation != self._keys.generation or len(self._known) >= REMEMBERED_MAX:
            self._generation = self._keys.generation
            self._known.clear()
        digest = hashlib.blake2b(b"\0".join(credentials), key=self._salt, digest_size=16).digest()
        known = self._known.get(digest)
        if known is None:
            known = self._identified(credentials, fields, address, now_us)
            if known.caller.expires_at_us is None:
                self._known[digest] = known
        return known

    def _identified(self, credentials: Sequence[bytes], fields: Fields, address: str, now_us: int) -> Known:
        caller = identify(credentials, fields, address, self._keys, self._trusted, self._pepper, now_us)
        return Known(caller, identity_json(caller.identity), tuple(scopes_of(caller.identity, "")))
