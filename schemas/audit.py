"""Decisions and administrative acts on `penstock.audit.v1`."""

from typing import Any, Literal

from pydantic import Field

from .events import Contract

TYPE = "penstock.audit.v1"
Act = Literal[
    "kill_decided",
    "kill_applied",
    "block_decided",
    "block_applied",
    "observed",
    "gap",
    "gap_accepted",
    "key_issued",
    "key_revoked",
    "policy_changed",
    "dead_letter",
    "erased",
    "hold",
    "order_rejected",
]


class AuditEvent(Contract):
    """One act. `subject` is what it concerns (`exchange:<id>`, `key:<id>`, `limit:<id>`, `tap:<id>`)."""

    v: Literal[1] = 1
    act: Act
    subject: str
    actor: str = Field(description="`tap:<id>`, `meter:<instance>`, `record:<instance>`, `cli:<user>`")
    reason: str = ""
    exchange_id: str = ""
    at_us: int
    details: dict[str, Any] = Field(
        default_factory=dict, description="figures and ids; never content, never a credential"
    )


class Gap(Contract):
    """Events that are missing, and known to be (`AuditEvent.details` of act `gap`)."""

    tap: str
    epoch: int
    partition: int
    events: int = Field(description="how many events were dropped")
    first_frame: int | None = None
    last_frame: int | None = None
    exchanges: list[str] = Field(default_factory=list, description="exchanges that lost events, at most 100")
    cause: str
