"""Standing orders on `penstock.control.v1`, and the MAC that says who may give them.

An order's Kafka key is `scope|issuer|rule|target tap`; a later record with the same key replaces it, a tombstone or its
`expires_at_us` ends it. Orders hold together: a scope is open when no live order closes it. Epochs grow per key: an
older epoch is ignored, so a replay is harmless.
"""

import hmac
from typing import Literal

from pydantic import Field

from .errors import EventError
from .events import Contract, Count, Micros

Action = Literal["kill", "block", "revoke", "lease"]
TYPE = "penstock.order.v1"


class Order(Contract):
    """One order. Times are µs since the epoch, UTC. `mac` covers all other members."""

    v: Literal[1] = 1
    order_id: str
    action: Action
    scope: str = Field(description="`exchange:<id>`, `key:<id>`, `team:<name>`, … : what is killed or blocked")
    issuer: str = Field(description="`meter`, `inspect`, `cli:<user>`")
    rule: str = Field(description="limit id or rule that led to it")
    target_tap: str = Field(default="", description="empty: every tap")
    reason: str = Field(description="a sentence for the person whose request ends")
    epoch: Count
    issued_at_us: Micros
    expires_at_us: Micros
    retry_after_s: Count | None = Field(default=None, description="when a new request may succeed; None: unknown")
    limit_scope: str = Field(default="", description="the scope of the limit that was passed, `team:research`")
    crossed_at_us: Micros | None = None
    allowed_output_tokens: Count | None = None
    mac: str = ""

    @property
    def key(self) -> str:
        """The record's key on the topic."""
        return f"{self.scope}|{self.issuer}|{self.rule}|{self.target_tap}"


def sign_order(order: Order, secret: bytes) -> Order:
    """`order` with its MAC (HMAC-SHA256 over the JSON of all members but `mac`)."""
    return order.model_copy(update={"mac": _mac(order, secret)})


def check_order(order: Order, secrets: list[bytes]) -> None:
    """EventError unless one of `secrets` made the MAC."""
    if not any(hmac.compare_digest(order.mac, _mac(order, secret)) for secret in secrets):
        raise EventError(f"order {order.order_id} on {order.scope} has a wrong MAC")


def _mac(order: Order, secret: bytes) -> str:
    return hmac.digest(secret, order.model_dump_json(exclude={"mac"}).encode(), "sha256").hex()
