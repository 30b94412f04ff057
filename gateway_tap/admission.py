"""Pure: whether a new request may go to its upstream. Mode observe never refuses; it says what would have been done."""

from dataclasses import dataclass
from typing import Final, Literal

from penstock.schemas.events import AppliedOrder
from penstock.schemas.policy import Policy

from .exchange import Step
from .identity import Caller
from .orders import Orders, Standing
from .refuse import Refusal, not_ready

UNREAD_MODEL: Final = (
    "the policy limits models, and the model of this request cannot be read: name it in a body that is JSON or a form, "
    "not encoded in a way unknown here, and no larger than tap.parse_max_bytes"
)


@dataclass(slots=True)
class Gate:
    """What the tap knows of its own condition. In mode enforce a closed gate refuses; `loss`: what the policy says
    about control orders that no longer arrive, set while they do not."""

    mode: Literal["observe", "enforce"]
    ready: bool = False
    stopping: bool = False
    loss: Literal["allow", "deny_new", "deny_all"] = "allow"
    no_room: str = "the audit trail cannot be written"

    @property
    def enforcing(self) -> bool:
        return self.mode == "enforce"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a request is not served (`refusal`), or in mode observe would not have been (`order`)."""

    step: Step
    reason: str
    refusal: Refusal
    order: AppliedOrder | None = None


def admit(gate: Gate, orders: Orders, caller: Caller, scopes: list[str], room: bool, now_us: int) -> Verdict | None:
    """None: the request may go on. `room`: the publisher would take its events (asked where it matters)."""
    if gate.stopping:
        return _unavailable("it is stopping")
    if gate.enforcing and not gate.ready:
        return _unavailable("its orders and keys have not been read yet")
    if gate.enforcing and gate.loss != "allow":
        return _unavailable("it does not hear orders any more, and the policy refuses requests until it does")
    if not room:
        return _unavailable(gate.no_room)
    if caller.refused:
        return _key_refused(caller, now_us, observed=not gate.enforcing)
    standing = orders.closing(scopes, now_us)
    if standing is not None:
        return blocked(standing, now_us, observed=not gate.enforcing)
    return None


def blocked(standing: Standing, now_us: int, *, observed: bool = False) -> Verdict:
    """The refusal that a standing order asks for."""
    refusal = Refusal(429, standing.order.reason, _code(standing), standing.retry_after_s(now_us))
    return Verdict(Step.BLOCK, standing.order.reason, refusal, standing.applied(now_us, observed=observed))


def killed(standing: Standing, now_us: int) -> Verdict:
    """The refusal of an exchange that was killed before its answer began."""
    refusal = Refusal(429, standing.order.reason, kill_code(standing), standing.order.retry_after_s)
    return Verdict(Step.KILL, standing.order.reason, refusal, standing.applied(now_us))


def kill_code(standing: Standing) -> str:
    """The machine-readable reason in a kill's ending."""
    return "budget_exceeded" if standing.order.limit_scope else "killed_by_policy"


def _code(standing: Standing) -> str:
    if standing.order.action == "revoke":
        return "access_revoked"
    return "budget_exceeded" if standing.order.limit_scope else "blocked_by_policy"


def asks_model(policy: Policy) -> bool:
    """Whether a request whose model nobody can read is refused: it would pass by the limits of `model:` scopes."""
    limited = any(limit.scope.startswith("model:") for limit in policy.limits)
    return limited and policy.failures.on_unread_model == "deny"


def unread_model(now_us: int, *, observed: bool) -> Verdict:
    """The refusal of a request that names no model, or none that can be read."""
    order = _own_order("model:", UNREAD_MODEL, now_us, observed=observed)
    return Verdict(Step.BLOCK, UNREAD_MODEL, Refusal(400, UNREAD_MODEL, "model_not_readable"), order)


def _unavailable(what: str) -> Verdict:
    refusal = not_ready(what)
    return Verdict(Step.FAULT, refusal.message, refusal)


def _key_refused(caller: Caller, now_us: int, *, observed: bool) -> Verdict:
    order = _own_order(f"key:{caller.identity.key_id}", caller.refused, now_us, observed=observed)
    return Verdict(Step.BLOCK, caller.refused, Refusal(401, caller.refused, "invalid_api_key"), order)


def _own_order(scope: str, reason: str, now_us: int, *, observed: bool) -> AppliedOrder:
    """A refusal that no order of the meter's asks for, as an order."""
    return AppliedOrder(
        order_id=f"{scope}/{reason}",
        scope=scope,
        reason=reason,
        epoch=0,
        decided_at_us=now_us,
        received_at_us=now_us,
        applied_at_us=now_us,
        observed=observed,
    )
