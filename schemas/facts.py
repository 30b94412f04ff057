"""Rows that records of the other topics add beside their leaf: pure, one mapping of column to value per row.

`record` writes them and `verify` makes them again from the sealed record, so both must take them from here.
"""

import json
from decimal import Decimal
from typing import Any, Final

from . import topics
from .attribution import Attribution, Kill
from .audit import AuditEvent
from .control import Order
from .errors import EventError
from .events import Contract
from .ids import TIMES_US
from .keys import KeyRecord
from .violations import Coverage, Violation

Row = dict[str, Any]
Facts = tuple[tuple[str, Row], ...]

MODELS: Final[dict[str, type[Contract]]] = {
    topics.ATTRIBUTION: Attribution,
    topics.AUDIT: AuditEvent,
    topics.COVERAGE: Coverage,
    topics.CONTROL: Order,
    topics.KEYS: KeyRecord,
    **dict.fromkeys(topics.VIOLATIONS.values(), Violation),
}
"""What a record of each topic but traffic holds."""
TABLES: Final = ("exchange_facts", "attribution", "kills", "audit", "violations", "coverage")
_COST_ABOVE: Final = Decimal(10) ** 20


def facts_of(model: Contract, event_id: str) -> Facts:
    """The rows of one record, each with its table; none for orders and key records, whose leaf and content say all.

    EventError where a figure does not fit its column: such a record is as unreadable as one that is no JSON.
    """
    if isinstance(model, Attribution):
        rows = [("exchange_facts", _exchange(model)), ("attribution", _tokens(model))]
        return (*rows, ("kills", _kill(model.exchange_id, model.kill))) if model.kill is not None else tuple(rows)
    if isinstance(model, AuditEvent):
        return (("audit", _audit(model, event_id)),)
    if isinstance(model, Violation):
        return (("violations", _violation(model)),)
    if isinstance(model, Coverage):
        return (("coverage", _coverage(model)),)
    return ()


def _exchange(model: Attribution) -> Row:
    who = model.identity
    return {
        "exchange_id": model.exchange_id,
        "parent_id": model.parent_id,
        "started_at": _time("started_at_us", model.started_at_us),
        "ended_at": _time("ended_at_us", model.ended_at_us),
        "upstream": model.upstream,
        "dialect": model.dialect,
        "api": model.api,
        "path": model.path,
        "model": model.model,
        "requested_model": model.requested_model,
        "stream": model.stream,
        "org": who.org,
        "team": who.team,
        "app": who.app,
        "user": who.user,
        "service_account": who.service_account,
        "key_id": who.key_id,
        "authenticated": who.authenticated,
        "status": _count("status", model.status, 16),
        "outcome": model.outcome,
        "reason": model.reason,
        "finish_reason": model.finish_reason,
        "killed_by": model.kill.order.scope if model.kill is not None else "",
        "chunk_count": _count("chunk_count", model.chunk_count, 32),
        "ttft_ms": None if model.ttft_us is None else _count("ttft_us", model.ttft_us) / 1000,
        "duration_ms": _count("duration_us", model.duration_us) / 1000,
        "request_bytes": _count("request_bytes", model.request_bytes),
        "response_bytes": _count("response_bytes", model.response_bytes),
        **_sides(model),
        "usage_source": model.usage_source,
        "cost_usd": _cost(model.cost_usd),
        "lower_bound": model.lower_bound,
        "policy_version": model.policy_version,
        "trace_id": model.trace_id,
        "span_id": model.span_id,
        "parent_span_id": model.parent_span_id,
    }


def _sides(model: Attribution) -> Row:
    return {
        "input_tokens": _count("input.tokens", model.input.tokens),
        "output_tokens": _count("output.tokens", model.output.tokens),
        "cached_tokens": _count("cached_tokens", model.cached_tokens),
        "cache_write_tokens": _count("cache_write_tokens", model.cache_write_tokens),
        "reasoning_tokens": _count("reasoning_tokens", model.reasoning_tokens),
    }


def _tokens(model: Attribution) -> Row:
    counted = model.counted_output_tokens
    return {
        "exchange_id": model.exchange_id,
        "at": _time("ended_at_us", model.ended_at_us),
        "org": model.identity.org,
        "team": model.identity.team,
        "key_id": model.identity.key_id,
        "model": model.model,
        **_sides(model),
        "input_source": model.input.source,
        "input_method": model.input.method,
        "output_source": model.output.source,
        "output_method": model.output.method,
        "counted_output_tokens": None if counted is None else _count("counted_output_tokens", counted),
        "usage_raw": _json(model.usage_raw),
        "cost_usd": _cost(model.cost_usd),
        "price_source": model.price_source,
    }


def _kill(exchange_id: str, kill: Kill) -> Row:
    order = kill.order
    return {
        "exchange_id": exchange_id,
        "scope": order.scope,
        "limit_id": order.limit_id,
        "reason": order.reason,
        "decided_at": _time("decided_at_us", order.decided_at_us),
        "received_at": _time("received_at_us", order.received_at_us),
        "applied_at": _time("applied_at_us", order.applied_at_us),
        "crossed_at": None if order.crossed_at_us is None else _time("crossed_at_us", order.crossed_at_us),
        "cut_ms": None if kill.cut_us is None else _fits("cut_us", kill.cut_us, -(2**63), 2**63) / 1000,
        "overshoot_tokens": _fits("overshoot_tokens", kill.overshoot_tokens, -(2**63), 2**63),
    }


def _audit(model: AuditEvent, event_id: str) -> Row:
    return {
        "event_id": event_id,
        "act": model.act,
        "subject": model.subject,
        "actor": model.actor,
        "reason": model.reason,
        "exchange_id": model.exchange_id,
        "at": _time("at_us", model.at_us),
        "details": _json(model.details),
    }


def _violation(model: Violation) -> Row:
    return {
        "violation_id": model.violation_id,
        "exchange_id": model.exchange_id,
        "kind": model.kind,
        "detector": model.detector,
        "detector_version": model.detector_version,
        "severity": model.severity,
        "score": model.score,
        "where": model.where,
        "span": (model.span.start, model.span.end),
        "excerpt_redacted": model.excerpt_redacted,
        "action": model.action,
        "policy_version": model.policy_version,
        "frameworks": list(model.frameworks),
        "at": _time("at_us", model.at_us),
    }


def _coverage(model: Coverage) -> Row:
    return {
        "exchange_id": model.exchange_id,
        "detector": model.detector,
        "detector_version": model.detector_version,
        "segment": model.segment,
        "bytes_seen": model.bytes_seen,
        "verdict": model.verdict,
        "reason": model.reason,
        "policy_version": model.policy_version,
        "at": _time("at_us", model.at_us),
    }


def _fits(name: str, value: int, low: int, above: int) -> int:
    if not low <= value < above:
        raise EventError(f"{name} does not fit its column")
    return value


def _count(name: str, value: int, bits: int = 63) -> int:
    return _fits(name, value, 0, 2**bits)


def _time(name: str, value_us: int) -> int:
    return _fits(name, value_us, 0, TIMES_US.stop)


def _cost(value: Decimal | None) -> Decimal | None:
    if value is not None and not (value.is_finite() and 0 <= value < _COST_ABOVE):
        raise EventError("cost_usd does not fit its column")
    return value


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
