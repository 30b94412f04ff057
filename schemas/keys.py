"""Key records on `penstock.keys.v1` and in the policy: who stands behind a credential. Only a keyed hash is kept."""

import hmac
from typing import Annotated, Literal

from pydantic import Field

from .events import Contract

TYPE = "penstock.key.v1"
HASH_PREFIX = "hmac-sha256:"
KEY_ID = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$"


class KeyRecord(Contract):
    """One key. `hash` is `hmac-sha256:<64 hex>` of the credential under the deployment's pepper."""

    id: Annotated[str, Field(pattern=KEY_ID)]
    hash: Annotated[str, Field(pattern=r"^hmac-sha256:[0-9a-f]{64}$")]
    org: str = ""
    team: str = ""
    app: str = ""
    user: str = ""
    service_account: str = ""
    owner: str = ""
    state: Literal["active", "revoked"] = "active"
    created_at_us: int = 0
    expires_at_us: int | None = None


def key_hash(credential: bytes, pepper: bytes) -> str:
    """The keyed hash of a credential (HMAC-SHA256, RFC 2104); the pepper never leaves the deployment."""
    return HASH_PREFIX + hmac.digest(pepper, credential, "sha256").hex()


def unknown_key_id(hashed: str) -> str:
    """The id under which a credential without a key record is charged: `h-` and 16 hex digits of its keyed hash."""
    return "h-" + hashed.removeprefix(HASH_PREFIX)[:16]
