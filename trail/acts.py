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
    """Spans of frame numbers by (tap, epoch, partition), spans of offsets by (topic, partition), erased exchanges with
    where the act stands."""

    frames: dict[tuple[str, int, int], list[Span]] = field(default_factory=dict)
    offsets: dict[tuple[str, int], list[Span]] = field(default_factory=dict)
    erased: dict[str, str] = field(default_factory=dict)
    torn: set[str] = field(default_factory=set)
    gaps: int = 0
    gap_events: int = 0

    def feed(self, body: bytes, where: str = "") -> None:
        """One act, as its record's value. What is no act, or no gap that can be understood, names nothing."""
        try:
            act = read_value(AuditEvent, body)
        except EventError:
            return
        if act.act == "erased":
            for exchange in _exchanges(act):
                self.erased.setdefault(exchange, where)
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
    listed = act.details.get("exchanges", [])
    subject = act.subject.removeprefix("exchange:") if act.subject.startswith("exchange:") else ""
    for found in (act.exchange_id, subject, *(listed if isinstance(listed, list) else ())):
        if found and isinstance(found, str):  # the empty id stands for all that belongs to no exchange
            yield found


def _covered(spans: Iterable[Span], wanted: Span) -> bool:
    first, last = wanted
    for begin, end in sorted(spans):
        if begin <= first <= end:
            first = end + 1
    return first > last
