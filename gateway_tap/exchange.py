"""Pure: the life of one exchange, as a table.

Rules of this file: every change of state goes through `TABLE`; a pair that is not in it is a fault of the tap, never a
consequence of what a peer sent; an exchange ends once, with one outcome.

    RECEIVING ──admit──▶ HELD ──release──▶ CALLING ──head──▶ ANSWERING ──answered──▶ SETTLING ──settled──▶ ENDED
        │                  │                  │                  │ kill, mid-event      ▲
        └── refused, blocked, client_lost, upstream_lost, kill, fault ──▶ ENDED      CUTTING ── cut
"""

from dataclasses import dataclass, field
from enum import IntEnum, auto
from typing import Any, Final

from penstock.schemas.events import AppliedOrder, Identity, Outcome
from penstock.schemas.written import End, order_members


class State(IntEnum):
    """Where an exchange is."""

    RECEIVING = auto()  # the request is being read
    HELD = auto()  # the prompt is published, the upstream not yet called (audit strict waits here)
    CALLING = auto()  # the upstream was called, no head has come back
    ANSWERING = auto()  # the head was given to the client
    CUTTING = auto()  # a kill waits for the end of the event that is half given
    SETTLING = auto()  # the completion is published, last bytes may be held back (audit strict)
    ENDED = auto()


class Step(IntEnum):
    """What happens to it."""

    ADMIT = auto()
    RELEASE = auto()
    HEAD = auto()
    ANSWERED = auto()
    SETTLED = auto()
    BLOCK = auto()
    KILL = auto()
    KILL_LATER = auto()
    UPSTREAM_LOST = auto()
    CLIENT_LOST = auto()
    FAULT = auto()


S, T = State, Step
_ENDS: Final[dict[Step, Outcome]] = {
    T.BLOCK: "blocked",
    T.KILL: "killed",
    T.UPSTREAM_LOST: "upstream_error",
    T.CLIENT_LOST: "client_disconnected",
    T.FAULT: "tap_error",
}

TABLE: Final[dict[tuple[State, Step], State]] = {
    (S.RECEIVING, T.ADMIT): S.HELD,
    (S.RECEIVING, T.BLOCK): S.SETTLING,
    (S.RECEIVING, T.CLIENT_LOST): S.SETTLING,
    (S.RECEIVING, T.FAULT): S.SETTLING,
    (S.HELD, T.RELEASE): S.CALLING,
    (S.HELD, T.KILL): S.SETTLING,
    (S.HELD, T.CLIENT_LOST): S.SETTLING,
    (S.HELD, T.FAULT): S.SETTLING,
    (S.CALLING, T.HEAD): S.ANSWERING,
    (S.CALLING, T.KILL): S.SETTLING,
    (S.CALLING, T.UPSTREAM_LOST): S.SETTLING,
    (S.CALLING, T.CLIENT_LOST): S.SETTLING,
    (S.CALLING, T.FAULT): S.SETTLING,
    (S.ANSWERING, T.ANSWERED): S.SETTLING,
    (S.ANSWERING, T.KILL): S.SETTLING,
    (S.ANSWERING, T.KILL_LATER): S.CUTTING,
    (S.ANSWERING, T.UPSTREAM_LOST): S.SETTLING,
    (S.ANSWERING, T.CLIENT_LOST): S.SETTLING,
    (S.ANSWERING, T.FAULT): S.SETTLING,
    (S.CUTTING, T.KILL): S.SETTLING,
    (S.CUTTING, T.CLIENT_LOST): S.SETTLING,
    (S.CUTTING, T.FAULT): S.SETTLING,
    (S.SETTLING, T.SETTLED): S.ENDED,
    (S.SETTLING, T.CLIENT_LOST): S.ENDED,
    (S.SETTLING, T.FAULT): S.ENDED,
}


class IllegalStep(AssertionError):
    """The tap asked for a step that the table does not know."""


@dataclass(slots=True)
class Exchange:
    """One exchange: its state, and what its completion will say. Times: µs of wall clock, s of monotonic clock."""

    id: str
    started_at_us: int
    started_s: float
    identity: Identity
    state: State = State.RECEIVING
    outcome: Outcome | None = None
    reason: str = ""
    status: int = 0
    upstream_status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = ""
    content_encoding: str = ""
    request_encoding: str = ""
    ttft_us: int | None = None
    killed_by: AppliedOrder | None = None
    observed: list[AppliedOrder] = field(default_factory=list)
    retried: list[str] = field(default_factory=list)

    def step(self, step: Step, reason: str = "") -> None:
        """Moves on by the table, and notes the outcome where `step` decides it (an answer with a `reason` is one that
        failed). IllegalStep is our own fault."""
        try:
            self.state = TABLE[self.state, step]
        except KeyError:
            raise IllegalStep(f"{step.name} in {self.state.name}") from None
        if self.outcome is None:
            self.outcome = _ENDS.get(step)
            if step is Step.ANSWERED:
                self._answered(reason)
            elif self.outcome is not None:
                self.reason = reason

    @property
    def over(self) -> bool:
        """The outcome is decided."""
        return self.outcome is not None

    def observe(self, order: AppliedOrder) -> None:
        """An order that mode observe did not apply; each is kept once."""
        if all(order.order_id != known.order_id for known in self.observed):
            self.observed.append(order)

    def completion(self, figures: dict[str, Any], now_us: int, now_s: float) -> bytes:
        """The record of the end: a `Completion` as JSON. `figures`: counts, digests and what the reply said."""
        return End(
            outcome=self.outcome or "tap_error",
            status=self.status,
            upstream_status=self.upstream_status,
            reason=self.reason,
            headers=self.headers,
            content_type=self.content_type,
            content_encoding=self.content_encoding,
            request_encoding=self.request_encoding,
            started_at_us=self.started_at_us,
            ended_at_us=now_us,
            ttft_us=self.ttft_us,
            duration_us=int((now_s - self.started_s) * 1_000_000),
            killed_by=order_members(self.killed_by) if self.killed_by else None,
            observed=[order_members(order) for order in self.observed],
            attempts=1 + len(self.retried),
            retried=self.retried,
            **figures,
        ).json()

    def _answered(self, reason: str) -> None:
        if self.upstream_status >= 400:
            reason = f"upstream status {self.upstream_status}"
        self.outcome, self.reason = "upstream_error" if reason else "completed", reason
