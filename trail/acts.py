"""What the audit topic says is missing on purpose: gaps, accepted losses, erasures. Pure.

Only acts whose content matches its sealed commitment may be fed here: the table `audit` is a copy for queries, and
proves nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import ValidationError

from penstock.schemas.audit import AuditEvent, Gap
from penstock.schemas.errors import EventError
from penstock.schemas.records import read_value

from .lost import offsets_named

Span = tuple[int, int]


@dataclass(slots=True)
class Acts:
    """Spans of frame numbers by (tap, epoch, partition), spans of offsets by (topic, partition), erased exchanges."""

    frames: dict[tuple[str, int, int], list[Span]] = field(default_factory=dict)
    offsets: dict[tuple[str, int], list[Span]] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    torn: set[str] = field(default_factory=set)
    gaps: int = 0
    gap_events: int = 0

    def feed(self, body: bytes) -> None:
        """One act, as its record's value. What is no act, or no gap that can be understood, names nothing."""
        try:
            act = read_value(AuditEvent, body)
        except EventError:
            return
        if act.act == "erased":
            self.erased.update(_exchanges(act))
        elif act.act in ("gap", "gap_accepted"):
            self._gap(act)

    def covers_frames(self, tap: str, epoch: int, partition: int, span: Span) -> bool:
        """Whether every frame number of `span` is in a named gap."""
        return _covered(self.frames.get((tap, epoch, partition), ()), span)

    def covers_offsets(self, topic: str, partition: int, span: Span) -> bool:
        """Whether every offset of `span` is in a named gap."""
        return _covered(self.offsets.get((topic, partition), ()), span)

    def _gap(self, act: AuditEvent) -> None:
        if "topic" in act.details:
            named = offsets_named(act.act, act.details)
            if named is not None:
                self.offsets.setdefault(named[0], []).append(named[1])
                self.gaps += 1
            return
        try:
            gap = Gap.model_validate(act.details)
        except ValidationError:
            return
        self.gaps += 1
        self.gap_events += gap.events
        self.torn.update(gap.exchanges)
        if gap.first_frame is not None and gap.last_frame is not None:
            span = (gap.first_frame, gap.last_frame)
            self.frames.setdefault((gap.tap, gap.epoch, gap.partition), []).append(span)


def _exchanges(act: AuditEvent) -> Iterable[str]:
    if act.exchange_id:
        yield act.exchange_id
    if act.subject.startswith("exchange:"):
        yield act.subject.removeprefix("exchange:")
    listed = act.details.get("exchanges", [])
    if isinstance(listed, list):
        yield from (str(found) for found in listed)


def _covered(spans: Iterable[Span], wanted: Span) -> bool:
    first, last = wanted
    for begin, end in sorted(spans):
        if begin <= first <= end:
            first = end + 1
    return first > last
