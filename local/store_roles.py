"""Who may do what in the embedded store, and how a caller proves who it is.

admin    everything: migrations, and what a person with the state folder may do anyway
writer   INSERT of data into named tables; reads as the reader does
reader   reads of tables, views and system tables; no file, no network, no setting beyond a short list
"""

import base64
import binascii
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from penstock.schemas.addresses import Role

from .store_errors import AUTHENTICATION_FAILED, StoreError, refuse

ROLES: Final[tuple[Role, ...]] = ("admin", "writer", "reader")


@dataclass(frozen=True, slots=True)
class Accounts:
    """One user a role, named `penstock_ROLE`, with a random password. The repr shows none."""

    passwords: Mapping[Role, str] = field(repr=False)

    @classmethod
    def fresh(cls) -> "Accounts":
        return cls({role: secrets.token_urlsafe(32) for role in ROLES})

    @classmethod
    def parse(cls, text: str) -> "Accounts":
        """What `text` held when it was written; ValueError where it is anything else."""
        passwords = json.loads(text)
        if not isinstance(passwords, dict) or any(len(str(passwords.get(role, ""))) < 40 for role in ROLES):
            raise ValueError("no passwords of the store")
        return cls({role: str(passwords[role]) for role in ROLES})

    def text(self) -> str:
        """For a file that its owner alone reads."""
        return json.dumps(dict(self.passwords))

    def published(self) -> dict[str, dict[str, str]]:
        """What clickhouse.json holds for each role."""
        return {role: {"user": f"penstock_{role}", "password": self.passwords[role]} for role in ROLES}

    def role_of(self, user: str, password: str) -> Role:
        """The role whose user and password these are, in a time that does not tell which differed. StoreError 516."""
        found: Role | None = None
        for role in ROLES:
            right_user = hmac.compare_digest(f"penstock_{role}".encode(), user.encode())
            right_password = hmac.compare_digest(self.passwords[role].encode(), password.encode())
            if right_user and right_password:
                found = role
        if found is None:
            raise wrong_password()
        return found


def wrong_password() -> StoreError:
    return refuse(
        AUTHENTICATION_FAILED,
        "Authentication failed: users and passwords of the embedded store lie in <state_dir>/run/clickhouse.json.",
    )


def credentials_in(headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[str, str] | None:
    """User and password from where a server takes them: its own headers, Basic (RFC 7617), or the query string.

    None where the caller names neither. StoreError 516 for an Authorization header that is not Basic.
    """
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", ""), headers.get("X-ClickHouse-Key", "")
    given = headers.get("Authorization")
    if given is not None:
        kind, _, value = given.partition(" ")
        try:
            user, separator, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise wrong_password() from error
        if kind.lower() != "basic" or not separator:
            raise wrong_password()
        return user, password
    if "user" in query or "password" in query:
        return query.get("user", ""), query.get("password", "")
    return None
