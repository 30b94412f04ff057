"""Pure: what the meter says of a decision: the order, the violation, the audit record that belong together."""

from dataclasses import dataclass

from penstock.schemas.attribution import Attribution
from penstock.schemas.policy import Limit

from .budget import Kill
from .emission import Emission, of_attribution, of_audit, of_lifting, of_order, of_violation
from .limits import Window
from .orders import block_order, kill_order


@dataclass(frozen=True, slots=True)
class Rules:
    """What the meter is told: limits, the policy's version, who it is (`meter:<instance>`), and its bounds."""

    limits: tuple[Limit, ...]
    policy_version: str
    actor: str
    body_max_bytes: int
    rewind_max_bytes: int


@dataclass(frozen=True, slots=True)
class Case:
    """One limit for one concrete scope in one window, and the moment of a decision about it. `epoch` comes from the
    log (the append time of the record that led to it), `now_us` from the clock."""

    limit: Limit
    scope: str
    window: Window
    epoch: int
    now_us: int


def say_kill(rules: Rules, case: Case, kill: Kill) -> list[Emission]:
    """The order that ends an exchange, and its audit record."""
    order = kill_order(
        case.limit,
        case.scope,
        case.window,
        kill.exchange_id,
        allowed_output_tokens=kill.allowed_output_tokens,
        crossed_at_us=kill.crossed_at_us,
        epoch=case.epoch,
        now_us=case.now_us,
    )
    decided = of_audit(
        "kill_decided",
        order.scope,
        rules.actor,
        id=f"{kill.exchange_id}/kill_decided/{case.limit.id}/{case.scope}",
        at_us=case.now_us,
        reason=order.reason,
        exchange_id=kill.exchange_id,
        details={
            "order_id": order.order_id,
            "limit": case.limit.id,
            "limit_scope": case.scope,
            "window": case.window.id,
            "allowed_output_tokens": kill.allowed_output_tokens,
            "crossed_at_us": kill.crossed_at_us,
        },
    )
    return [of_order(order), decided]


def say_used_up(rules: Rules, case: Case, exchange_id: str, crossed_at_us: int) -> list[Emission]:
    """A limit is used up: a violation, and for a hard one the block of its scope until the window ends. A limit on
    exchanges, and a window that is over, have nobody to block."""
    limit, window = case.limit, case.window
    violation = of_violation(
        limit,
        case.scope,
        window,
        exchange_id=exchange_id,
        epoch=case.epoch,
        at_us=crossed_at_us,
        policy_version=rules.policy_version,
    )
    if limit.kind == "soft" or window.is_over(case.now_us) or case.scope.startswith("exchange:"):
        return [violation]
    order = block_order(limit, case.scope, window, crossed_at_us=crossed_at_us, epoch=case.epoch, now_us=case.now_us)
    decided = of_audit(
        "block_decided",
        case.scope,
        rules.actor,
        id=f"block_decided/{order.order_id}",
        at_us=case.now_us,
        reason=order.reason,
        exchange_id=exchange_id,
        details={
            "order_id": order.order_id,
            "limit": limit.id,
            "window": window.id,
            "expires_at_us": order.expires_at_us,
        },
    )
    return [of_order(order), violation, decided]


def say_settled(rules: Rules, settled: Attribution) -> list[Emission]:
    """The attribution of an ended exchange, and of a killed one what was given beyond the limit."""
    said = [of_attribution(settled)]
    if settled.kill is not None:
        order = settled.kill.order
        said.append(
            of_audit(
                "kill_applied",
                f"exchange:{settled.exchange_id}",
                rules.actor,
                id=f"{settled.exchange_id}/kill_applied",
                at_us=order.applied_at_us,
                reason=order.reason,
                exchange_id=settled.exchange_id,
                details={
                    "order_id": order.order_id,
                    "limit": order.limit_id,
                    "limit_scope": order.scope,
                    "allowed_output_tokens": order.allowed_output_tokens,
                    "output_tokens": settled.output.tokens,
                    "overshoot_tokens": settled.kill.overshoot_tokens,
                    "cut_us": settled.kill.cut_us,
                    "decided_at_us": order.decided_at_us,
                    "received_at_us": order.received_at_us,
                },
            )
        )
    return said


def say_done(limit: Limit, exchange_id: str) -> Emission:
    """A killed exchange has ended: its order may leave the control topic."""
    return of_lifting(f"exchange:{exchange_id}", limit.id)
