"""Key records hold a keyed hash and nothing that opens it."""

import hashlib
import hmac

from penstock.schemas.keys import KeyRecord, key_hash, unknown_key_id


def test_the_hash_is_keyed() -> None:
    hashed = key_hash(b"sk-secret", bytes(32))
    assert hashed == "hmac-sha256:" + hmac.new(bytes(32), b"sk-secret", hashlib.sha256).hexdigest()
    assert hashed != key_hash(b"sk-secret", bytes(31) + b"\x01")
    assert KeyRecord(id="a", hash=hashed).state == "active"


def test_an_unknown_credential_has_a_steady_id() -> None:
    hashed = key_hash(b"sk-secret", bytes(32))
    assert unknown_key_id(hashed) == "h-" + hashed.removeprefix("hmac-sha256:")[:16]
