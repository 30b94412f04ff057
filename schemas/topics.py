"""The table of topics: name, partitions, retention, cleanup, who writes and who reads (DESIGN section 4)."""

from dataclasses import dataclass
from typing import Literal

HOUR_MS = 3_600_000
FOREVER_MS = -1
MAX_MESSAGE_BYTES = 2_097_152
MAX_STATE_BYTES = 16_777_216
"""The meter's state of one limit or partition names every exchange that runs: room for some hundred thousand."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `partitions` None means the configured `kafka.partitions`."""

    name: str
    key: str
    what: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    retention_ms: int
    partitions: int | None = None
    cleanup: Literal["delete", "compact"] = "delete"
    max_bytes: int = MAX_MESSAGE_BYTES

    def config(self) -> dict[str, str]:
        """The topic's configuration as Kafka names it."""
        values = {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.max_bytes),
            "message.timestamp.type": "LogAppendTime",
        }
        if self.cleanup == "compact":
            values["delete.retention.ms"] = str(48 * HOUR_MS)
            values["segment.bytes"] = str(COMPACTED_SEGMENT_BYTES)
        return values


COMPACTED_SEGMENT_BYTES = 16_777_216
"""The newest segment is never compacted: small ones keep a read from beginning to end short."""

TRAFFIC = "penstock.traffic.v1"
USAGE = "penstock.usage.v1"
BUDGETS = "penstock.budgets.v1"
ATTRIBUTION = "penstock.attribution.v1"
COVERAGE = "penstock.coverage.v1"
VERDICTS = "penstock.verdicts.v1"
CONTROL = "penstock.control.v1"
AUDIT = "penstock.audit.v1"
KEYS = "penstock.keys.v1"
CHECKPOINTS = "penstock.checkpoints.v1"
DEAD_LETTER = "penstock.dead-letter.v1"
VIOLATION_KINDS = ("injection", "pii", "budget", "scope", "abuse", "policy")
VIOLATIONS = {kind: f"penstock.violations.{kind}.v1" for kind in VIOLATION_KINDS}

TOPICS: tuple[Topic, ...] = (
    Topic(
        TRAFFIC,
        "exchange id",
        "frames of prompts, chunks, completions",
        ("tap",),
        ("meter", "inspect", "record"),
        72 * HOUR_MS,
    ),
    Topic(
        USAGE,
        "limit id + scope",
        "running totals of an exchange, per limit",
        ("meter",),
        ("meter",),
        72 * HOUR_MS,
    ),
    Topic(
        BUDGETS,
        "limit id + scope + window",
        "snapshots of limits with the offsets they contain",
        ("meter",),
        ("meter",),
        FOREVER_MS,
        cleanup="compact",
        max_bytes=MAX_STATE_BYTES,
    ),
    Topic(ATTRIBUTION, "exchange id", "settled attribution", ("meter",), ("record",), 720 * HOUR_MS),
    *(
        Topic(name, "exchange id", f"violations: {kind}", ("meter", "inspect"), ("record",), 720 * HOUR_MS)
        for kind, name in VIOLATIONS.items()
    ),
    Topic(COVERAGE, "exchange id", "detector runs", ("inspect",), ("record",), 720 * HOUR_MS),
    Topic(
        VERDICTS,
        "exchange id",
        "inspected through which byte, for held exchanges",
        ("inspect",),
        ("tap",),
        HOUR_MS,
    ),
    Topic(
        CONTROL,
        "scope + issuer + rule",
        "standing orders",
        ("meter", "inspect", "cli"),
        ("tap", "record"),
        FOREVER_MS,
        partitions=1,
        cleanup="compact",
    ),
    Topic(
        AUDIT,
        "subject",
        "decisions, applied kills, gaps, administrative acts",
        ("tap", "meter", "record", "cli"),
        ("record",),
        720 * HOUR_MS,
    ),
    Topic(
        KEYS,
        "key id",
        "key records",
        ("cli",),
        ("tap", "meter", "record"),
        FOREVER_MS,
        partitions=1,
        cleanup="compact",
    ),
    Topic(
        CHECKPOINTS,
        "log origin",
        "signed checkpoints",
        ("seal",),
        ("verify", "watch"),
        FOREVER_MS,
        partitions=1,
    ),
    Topic(
        DEAD_LETTER,
        "as source",
        "original bytes of one event that could not be read",
        ("record", "meter"),
        ("cli",),
        720 * HOUR_MS,
    ),
)

RECORDED: tuple[str, ...] = (TRAFFIC, ATTRIBUTION, *VIOLATIONS.values(), COVERAGE, CONTROL, AUDIT, KEYS)
"""What `record` writes to ClickHouse. Usage and budgets are sums over traffic, verdicts live an hour, checkpoints speak
about the trail itself, dead letters are rows of their source topic: docs/decisions/0004 says why they are left out."""

COMPACTED: frozenset[str] = frozenset(topic.name for topic in TOPICS if topic.cleanup == "compact")


def topic(name: str) -> Topic:
    """The row of `name`; KeyError where there is none."""
    return next(row for row in TOPICS if row.name == name)
