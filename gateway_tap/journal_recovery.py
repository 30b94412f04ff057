"""Pure: what a journal says that a process left behind: frames to be sent, exchanges left open, gaps, audit events.

Records are fed in the order in which they were written. Per partition and epoch, `before` tells whether events are
missing between two of them: what is missing is reported, what follows is kept.
"""

from array import array
from dataclasses import dataclass, field
from typing import Final

import msgspec

from penstock.schemas.frames import CHUNK, COMPLETION

from .journal_record import (
    AUDIT_LANE,
    EPOCH,
    AuditNote,
    Damage,
    GapNote,
    Kind,
    OpenExchange,
    Record,
    SegmentHead,
    read_marks,
    read_open,
    read_partial,
)
from .journal_segment import NEVER, Acknowledged, Segment

UPSTREAM: Final = "upstream"
LOST: Final = "records of the journal were damaged"
EXCHANGES_NAMED: Final = 100


@dataclass(slots=True)
class OldFrame:
    """A frame as the journal holds it. `positions` are those of its records, ascending; `accepted`: events of its epoch
    and partition up to its end."""

    number: int
    events: int = 0
    events_bytes: int = 0
    accepted: int = 0
    positions: "array[int]" = field(default_factory=lambda: array("Q"))


@dataclass(slots=True)
class OldGap:
    """Events that were dropped before (`cause` says why), or that the journal has lost."""

    first: int
    last: int
    events: int
    cause: str
    exchanges: list[str] = field(default_factory=list)


@dataclass(slots=True)
class OldLane:
    """One partition in one epoch. `following`: the number of its next frame; `accepted`: events so far; `first`: events
    before the first record that is kept; `strangers`: exchanges that had begun before it."""

    following: int = 0
    accepted: int = -1
    first: int = 0
    strangers: list[str] = field(default_factory=list)
    frames: dict[int, OldFrame] = field(default_factory=dict)
    dropped: dict[int, OldGap] = field(default_factory=dict)
    lost: list[OldGap] = field(default_factory=list)


@dataclass(slots=True)
class OldExchange:
    """An exchange without a completion. `partial`: what its client got beyond its last event, then `hidden` bytes that
    are not known."""

    epoch: int
    partition: int
    known: OpenExchange
    partial: list[bytes] = field(default_factory=list)
    hidden: int = 0


class Recovery:
    """Everything that an old journal says. Fed with segments in order, each with its records in order."""

    def __init__(self) -> None:
        self.lanes: dict[tuple[int, int], OldLane] = {}
        self.running: dict[str, OldExchange] = {}
        self.acked: dict[int, Acknowledged] = {}
        self.audits: dict[tuple[int, int], AuditNote] = {}
        self.damages: list[tuple[SegmentHead, Damage]] = []

    def feed(self, segment: Segment, record: Record | Damage) -> None:
        """The next record, or what is damaged in its place. Notes in `segment` what it needs to be kept for."""
        head = segment.head
        if isinstance(record, Damage):
            self.damages.append((head, record))
            return
        match record.kind:
            case Kind.EVENTS:
                segment.need[record.partition] = max(segment.need.get(record.partition, -1), record.frame)
                self._events(head, record)
            case Kind.ACKNOWLEDGED:
                (epoch,) = EPOCH.unpack(record.body)
                known = self.acked.get(record.partition, NEVER)
                self.acked[record.partition] = max(known, (epoch, record.frame, record.before))
            case Kind.PARTIAL:
                exchange_id, data, hidden = read_partial(record.body)
                if exchange_id in self.running:
                    self.running[exchange_id].partial.append(data)
                    self.running[exchange_id].hidden = hidden
            case Kind.OPEN:
                opened, data, hidden = read_open(record.body)
                self.running[opened.exchange] = OldExchange(head.epoch, record.partition, opened, [data], hidden)
                lane = self._lane(head.epoch, record.partition)
                lane.following = max(lane.following, record.frame)
            case Kind.GAP:
                note = msgspec.json.decode(record.body, type=GapNote)
                lane = self._lane(head.epoch, record.partition)
                lane.following = max(lane.following, record.frame + 1)
                frame = record.frame
                lane.dropped[frame] = OldGap(frame, frame, record.count, note.cause, note.exchanges)
            case Kind.AUDIT:
                segment.need[AUDIT_LANE] = max(segment.need.get(AUDIT_LANE, -1), record.frame)
                self.audits[head.epoch, record.frame] = msgspec.json.decode(record.body, type=AuditNote)

    def unacknowledged(self, partition: int) -> list[tuple[int, OldFrame]]:
        """Frames that Kafka may not have, in order, each with its epoch."""
        acked = self.acked.get(partition, NEVER)[:2]
        return [
            (epoch, frame)
            for (epoch, number), lane in sorted(self.lanes.items())
            if number == partition
            for _, frame in sorted(lane.frames.items())
            if (epoch, frame.number) > acked
        ]

    def unsent_audits(self) -> list[tuple[int, int, AuditNote]]:
        """Audit events that Kafka may not have, in order: epoch, number, event."""
        acked = self.acked.get(AUDIT_LANE, NEVER)[:2]
        return [(*key, note) for key, note in sorted(self.audits.items()) if key > acked]

    def gaps(self) -> list[tuple[int, int, OldGap]]:
        """What is missing: epoch, partition, gap. Damage that cost no known event is a gap of none."""
        found = [
            (epoch, partition, gap)
            for (epoch, partition), lane in sorted(self.lanes.items())
            for gap in (*lane.dropped.values(), *self._before_first(epoch, partition, lane), *lane.lost)
        ]
        known = {epoch for epoch, _, gap in found if gap.cause == LOST}
        unknown = sorted({head.epoch for head, _ in self.damages} - known)
        return found + [(epoch, 0, OldGap(-1, -1, 0, LOST)) for epoch in unknown]

    def left_open(self, boot: str, boots: dict[int, str]) -> list[OldExchange]:
        """Exchanges that may be ended here. Not those of an epoch whose journal is not whole, since what is missing may
        be in Kafka: after a failure of the host (another `boot` than `boots` says for it) or a damage."""
        broken = {head.epoch for head, _ in self.damages}
        broken |= {epoch for (epoch, _), lane in self.lanes.items() if lane.lost}
        return [
            exchange
            for exchange in self.running.values()
            if exchange.epoch not in broken and boots.get(exchange.epoch) == boot
        ]

    def _before_first(self, epoch: int, partition: int, lane: OldLane) -> list[OldGap]:
        """Where something is damaged: events between what Kafka acknowledged and the first record that is left."""
        if not lane.frames or all(head.epoch != epoch for head, _ in self.damages):
            return []
        acked_epoch, acked_frame, events = self.acked.get(partition, NEVER)
        if acked_epoch < epoch:
            acked_frame, events = -1, 0
        if acked_epoch > epoch or lane.first <= events:
            return []
        last = next(iter(lane.frames))
        return [OldGap(min(acked_frame + 1, last), last, lane.first - events, LOST, lane.strangers)]

    def _lane(self, epoch: int, partition: int) -> OldLane:
        return self.lanes.setdefault((epoch, partition), OldLane())

    def _events(self, head: SegmentHead, record: Record) -> None:
        lane = self._lane(head.epoch, record.partition)
        lost = record.before - lane.accepted if lane.accepted >= 0 else 0
        if lost > 0:
            first = min(max(lane.following - 1, 0), record.frame)
            lane.lost.append(OldGap(first, record.frame, lost, LOST))
        if lane.accepted < 0:
            lane.first = record.before
        lane.accepted = record.before + record.count
        lane.following = max(lane.following, record.frame + 1)
        frame = lane.frames.setdefault(record.frame, OldFrame(record.frame))
        frame.events += record.count
        frame.events_bytes += len(record.body)
        frame.accepted = lane.accepted
        frame.positions.append(head.number << 32 | record.at)
        for mark in read_marks(b"[%b]" % record.body):
            if not mark.exchangeid:
                continue
            known = self.running.get(mark.exchangeid)
            if known is None and mark.seq > 0 and len(lane.strangers) < EXCHANGES_NAMED:
                lane.strangers.append(mark.exchangeid)
            if lane.lost and (mark.seq != known.known.seq if known else mark.seq > 0):
                _name(lane.lost[-1], mark.exchangeid)
            if mark.type == COMPLETION:
                self.running.pop(mark.exchangeid, None)
                continue
            kept = known and not (mark.type == CHUNK and mark.origin == UPSTREAM)
            self.running[mark.exchangeid] = OldExchange(
                head.epoch,
                record.partition,
                OpenExchange(
                    exchange=mark.exchangeid,
                    seq=mark.seq + 1,
                    source=mark.source,
                    subject=mark.subject,
                    time=mark.time,
                ),
                known.partial if known and kept else [],
                known.hidden if known and kept else 0,
            )


def _name(gap: OldGap, exchange_id: str) -> None:
    if len(gap.exchanges) < EXCHANGES_NAMED and exchange_id not in gap.exchanges:
        gap.exchanges.append(exchange_id)
