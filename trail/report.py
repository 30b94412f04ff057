"""What a verification found: faults, each named by its place, and counts. Pure."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from .leaf import printable

FAULTS_KEPT: Final = 50
"""Of each kind: one damage must not hide another."""

Kind = Literal[
    "checkpoint",
    "truncated",
    "root",
    "leaf_missing",
    "leaf_order",
    "leaf_altered",
    "row_altered",
    "row_missing",
    "row_unsealed",
    "chain",
    "offsets",
    "indexes",
    "frames",
    "events",
    "content_altered",
    "content_missing",
    "content_added",
    "duplicate",
    "dead_letter",
    "copy",
    "unreadable",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One contradiction. `where` is `leaf N`, `topic/partition/offset/index`, or a checkpoint's place."""

    kind: Kind
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(slots=True)
class Report:
    """The result of `verify`. `ok` is false as soon as there is a fault.

    `keys` are the public keys that were believed.
    accepted = stored + dead_lettered + duplicates + gap_events; rows = the first three;
    content_expected = content_present + content_erased + content_missing, the last of which are faults.
    `copies` counts the rows of the other tables that were held against the records they were made of.
    `partitions` counts the rows of each partition apart, by `topic/partition`.
    """

    origin: str
    keys: list[str] = field(default_factory=list)
    leaves: int = 0
    protected: int = 0
    checkpoints: int = 0
    last_checkpoint_s: int | None = None
    rows: int = 0
    unprotected: int = 0
    stored: int = 0
    dead_lettered: int = 0
    duplicates: int = 0
    gap_events: int = 0
    gaps: int = 0
    content_expected: int = 0
    content_present: int = 0
    content_redacted: int = 0
    content_erased: int = 0
    content_missing: int = 0
    copies: int = 0
    exchanges: int = 0
    exchanges_open: int = 0
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0
    fault_kinds: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    partitions: dict[str, dict[str, int]] = field(default_factory=dict)
    lag: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.fault_count == 0

    @property
    def accepted(self) -> int:
        """Events that Kafka acknowledged, as far as the trail can tell."""
        return self.stored + self.dead_lettered + self.duplicates + self.gap_events

    def fault(self, kind: Kind, where: str, message: str) -> None:
        """Adds a fault; beyond FAULTS_KEPT of its kind it is counted only."""
        self.fault_count += 1
        self.fault_kinds[kind] = self.fault_kinds.get(kind, 0) + 1
        if self.fault_kinds[kind] <= FAULTS_KEPT:
            self.faults.append(Fault(kind, printable(where), printable(message)))

    def note(self, message: str) -> None:
        """Adds what was not checked, or what a reader should know; no fault."""
        self.notes.append(printable(message))

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {"ok": self.ok, "accepted": self.accepted, **asdict(self)}
