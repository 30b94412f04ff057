"""Pure: what the meter has to say, before it is a Kafka record. Ids do not change when it is said again."""

from dataclasses import dataclass
from typing import Any, Final

from penstock.schemas import attribution, audit, control, topics, usage, violations
from penstock.schemas.attribution import Attribution
from penstock.schemas.audit import Act, AuditEvent
from penstock.schemas.control import Order
from penstock.schemas.events import Contract
from penstock.schemas.policy import Limit
from penstock.schemas.usage import BudgetSnapshot, MeterPosition, ResponseCharge, UsageTotal
from penstock.schemas.violations import Violation

from .limits import Window
from .orders import order_key, sentence

DETECTOR: Final = "budget"
FRAMEWORKS: Final = ["owasp-llm:LLM06:2026", "owasp-llm:LLM10:2025"]


@dataclass(frozen=True, slots=True)
class Emission:
    """One record to send. `model` None: a tombstone. `partition` None: by Kafka's hash of the key."""

    topic: str
    key: str
    model: Contract | None
    id: str = ""
    type: str = ""
    subject: str = ""
    exchange_id: str = ""
    time_us: int = 0
    partition: int | None = None


def of_usage(total: UsageTotal) -> Emission:
    """A running or final total, to the partition of its limit and scope."""
    return Emission(
        topics.USAGE,
        f"{total.limit_id}|{total.scope}",
        total,
        id=f"{total.exchange_id}/usage/{total.limit_id}/{total.scope}/{total.seq}",
        type=usage.TYPE_USAGE,
        subject=total.scope,
        exchange_id=total.exchange_id,
        time_us=total.seq_time_us,
    )


def of_attribution(settled: Attribution) -> Emission:
    """The settled attribution of an exchange."""
    return Emission(
        topics.ATTRIBUTION,
        settled.exchange_id,
        settled,
        id=f"{settled.exchange_id}/attribution",
        type=attribution.TYPE,
        subject=f"key:{settled.identity.key_id}",
        exchange_id=settled.exchange_id,
        time_us=settled.ended_at_us,
    )


def of_order(order: Order) -> Emission:
    """A standing order; it is signed where it is sent."""
    kind, _, name = order.scope.partition(":")
    return Emission(
        topics.CONTROL,
        order.key,
        order,
        id=order.order_id,
        type=control.TYPE,
        subject=order.scope,
        exchange_id=name if kind == "exchange" else "",
        time_us=order.issued_at_us,
    )


def of_lifting(scope: str, limit_id: str) -> Emission:
    """The end of the meter's order on `scope`."""
    return Emission(topics.CONTROL, order_key(scope, limit_id), None)


def of_snapshot(snapshot: BudgetSnapshot, key: str, now_us: int) -> Emission:
    """A budget's state, beside the usage records that it sums up."""
    return Emission(
        topics.BUDGETS,
        key,
        snapshot,
        id=f"{key}/{snapshot.next_offset}",
        type=usage.TYPE_BUDGET,
        subject=snapshot.scope,
        time_us=now_us,
        partition=snapshot.partition,
    )


def of_position(position: MeterPosition, key: str, now_us: int) -> Emission:
    """How far a traffic partition is settled."""
    return Emission(
        topics.BUDGETS,
        key,
        position,
        id=f"{key}/{position.next_offset}",
        type=usage.TYPE_POSITION,
        subject=f"partition:{position.partition}",
        time_us=now_us,
        partition=position.partition,
    )


def of_response(charge: ResponseCharge, key: str, time_us: int) -> Emission:
    """What was charged of a background response, beside the position of its traffic partition."""
    return Emission(
        topics.BUDGETS,
        key,
        charge,
        id=f"{key}/{len(charge.shares)}",
        type=usage.TYPE_RESPONSE,
        subject=f"response:{charge.response_id}",
        time_us=time_us,
        partition=charge.partition,
    )


def of_audit(
    act: Act, subject: str, actor: str, *, id: str, at_us: int, reason: str, exchange_id: str, details: dict[str, Any]
) -> Emission:
    """A decision or an applied one."""
    event = AuditEvent(
        act=act, subject=subject, actor=actor, reason=reason, exchange_id=exchange_id, at_us=at_us, details=details
    )
    return Emission(
        topics.AUDIT,
        subject,
        event,
        id=id,
        type=audit.TYPE,
        subject=subject,
        exchange_id=exchange_id,
        time_us=at_us,
    )


def of_violation(
    limit: Limit, scope: str, window: Window, *, exchange_id: str, epoch: int, at_us: int, policy_version: str
) -> Emission:
    """A limit that is used up."""
    kind = scope.partition(":")[0]
    violation = Violation(
        violation_id=f"{DETECTOR}/{limit.id}/{scope}/{window.id}/{epoch}",
        exchange_id=exchange_id,
        kind="budget",
        detector=DETECTOR,
        severity="high" if limit.kind == "hard" else "medium",
        where=f"{limit.id}|{scope}|{window.id}",
        excerpt_redacted=sentence(limit, scope, window),
        action="alert" if limit.kind == "soft" else "kill" if kind == "exchange" else "block",
        policy_version=policy_version,
        frameworks=FRAMEWORKS,
        at_us=at_us,
    )
    return Emission(
        topics.VIOLATIONS["budget"],
        exchange_id,
        violation,
        id=violation.violation_id,
        type=violations.TYPE,
        subject=scope,
        exchange_id=exchange_id,
        time_us=at_us,
    )
