"""Violations on `penstock.violations.<kind>.v1`, and what each detector has seen on `penstock.coverage.v1`."""

from typing import Literal

from pydantic import Field

from .events import Contract, Count, Micros

TYPE: str = "penstock.violation.v1"
TYPE_COVERAGE: str = "penstock.coverage.v1"
ViolationKind = Literal["injection", "pii", "budget", "scope", "abuse", "policy"]
Severity = Literal["low", "medium", "high", "critical"]


class Span(Contract):
    """Where in the inspected text, in Unicode code points; `end` is excluded."""

    start: Count = 0
    end: Count = 0


class Violation(Contract):
    """A finding that the policy says matters. Record id: `<violation id>`, the same after a repeat."""

    v: Literal[1] = 1
    violation_id: str
    exchange_id: str
    kind: ViolationKind
    detector: str
    detector_version: str = ""
    severity: Severity
    score: float = 1.0
    where: str = Field(default="", description="`prompt.messages[2]`, `completion`, …")
    span: Span = Span()
    excerpt_redacted: str = Field(default="", description="the passage with what was found masked")
    action: str = Field(description="what the policy did: `alert`, `kill`, `block`, `redact`")
    policy_version: str = ""
    frameworks: list[str] = Field(default_factory=list, description="`owasp-llm:LLM01`, …")
    at_us: Micros


class Coverage(Contract):
    """Which part of an exchange one detector has seen, or why it has not."""

    v: Literal[1] = 1
    exchange_id: str
    detector: str
    detector_version: str = ""
    segment: str = Field(description="`prompt`, `completion`")
    bytes_seen: Count = 0
    verdict: str = Field(description="`clean`, `violation`, `unseen`")
    reason: str = Field(default="", description="why bytes were not seen: `prefix_unseen`, `too_large`")
    policy_version: str = ""
    at_us: Micros
