"""Pure: what is made of an earlier process's journal: frames that go first, ends for exchanges that have none, gaps.

Ends are written to the journal under the epoch that they belong to before anything is sent, so that a process that ends
meanwhile leaves one and the same event behind.
"""

import base64
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from penstock.schemas import audit as audits
from penstock.schemas.audit import AuditEvent, Gap
from penstock.schemas.errors import JournalError
from penstock.schemas.events import Completion
from penstock.schemas.frames import CHUNK, COMPLETION, READ_MAX_BYTES, EventWriter
from penstock.schemas.ids import new_salt, parse_rfc3339
from penstock.schemas.records import Record, write_record

from .journal import Journal
from .journal_recovery import OldExchange, OldFrame, OldGap, Recovery
from .lane import Frame, Lane, Memory
from .masking import written


@dataclass
class Left:
    """What an earlier process left: frames per partition, audit events with epoch and number, and acts that are new."""

    frames: list[list[Frame]]
    audits: list[tuple[int, int, Record]] = field(default_factory=list)
    acts: list[Record] = field(default_factory=list)


REASON: Final = "the tap ended before the exchange did"


def _salt() -> bytes:
    return base64.b64encode(new_salt())


def old_frames(
    recovery: Recovery, partitions: int, journal: Journal, left_open: list[OldExchange]
) -> list[list[Frame]]:
    """Per partition, the frames that must be sent before anything new: those that Kafka may not have, and under the
    same epochs the ends of exchanges that were `left_open`. JournalError where a partition is gone."""
    lost = {
        partition for _, partition in recovery.lanes if partition >= partitions and recovery.unacknowledged(partition)
    }
    lost |= {exchange.partition for exchange in left_open if exchange.partition >= partitions}
    if lost:
        raise JournalError(
            f"the journal holds events of partition {max(lost)} that Kafka does not have yet, and there are only "
            f"{partitions} (`kafka.partitions`): set it back to at least {max(lost) + 1} until they are published, or "
            "move the folder away"
        )
    found = [[(epoch, _frame(epoch, frame)) for epoch, frame in recovery.unacknowledged(n)] for n in range(partitions)]
    for partition, frames in enumerate(_ends(recovery, journal, left_open, partitions)):
        found[partition] = sorted([*found[partition], *frames], key=lambda one: (one[0], one[1].number))
    return [[frame for _, frame in frames] for frames in found]


def _frame(epoch: int, old: OldFrame) -> Frame:
    return Frame(old.number, None, old.events, old.events_bytes, True, epoch, old.accepted, old.positions)


def _ends(
    recovery: Recovery, journal: Journal, left_open: list[OldExchange], partitions: int
) -> list[list[tuple[int, Frame]]]:
    found: list[list[tuple[int, Frame]]] = [[] for _ in range(partitions)]
    for epoch in sorted({exchange.epoch for exchange in left_open}):
        journal.begin(epoch)
        lanes: dict[int, Lane] = {}
        for exchange in left_open:
            if exchange.epoch != epoch:
                continue
            old = recovery.lanes[epoch, exchange.partition]
            lane = lanes.setdefault(
                exchange.partition,
                Lane(
                    exchange.partition,
                    epoch=epoch,
                    journal=journal,
                    memory=Memory(0),
                    number=old.following,
                    accepted=max(old.accepted, 0),
                ),
            )
            lane.add(exchange.known.exchange, end_of(exchange))
        for partition, lane in lanes.items():
            lane.close_frame()
            found[partition] += [(epoch, frame) for frame in lane.frames]
    for frames in found:
        for _, frame in frames:
            frame.tried = True
    return found


def end_of(exchange: OldExchange, draw: Callable[[], bytes] = _salt) -> list[bytes]:
    """What its client got beyond the last event, as chunks, and a completion that says that nothing more is known."""
    known = exchange.known
    writer = EventWriter(known.exchange, known.source, known.subject)
    stamp, seq, events = known.time.encode(), known.seq, list[bytes]()
    body = b"".join(exchange.partial)
    told = len(body)
    body += b"*" * exchange.hidden
    for start in range(0, len(body), READ_MAX_BYTES):
        end = min(start + READ_MAX_BYTES, len(body))
        masked = [(max(told, start) - start, end - start)] if end > told else []
        events.append(writer.write(CHUNK, seq, stamp, draw(), body[start:end], extra=written(masked)))
        seq += 1
    ended_us = parse_rfc3339(known.time)
    started_us = min(_born_us(known.exchange, ended_us), ended_us)
    completion = Completion(
        outcome="tap_error",
        status=0,
        reason=REASON,
        recovered=True,
        started_at_us=started_us,
        ended_at_us=ended_us,
        duration_us=ended_us - started_us,
    )
    record = completion.model_dump_json().encode()
    return [*events, writer.write(COMPLETION, seq, stamp, draw(), record, origin=b"tap")]


def gap_record(tap: str, partition: int, gap: Gap, now_us: int) -> Record:
    """The act that names a gap. Its id is the same whenever the gap is found."""
    subject = f"tap:{tap}"
    act = AuditEvent(
        act="gap", subject=subject, actor=subject, reason=gap.cause, at_us=now_us, details=gap.model_dump()
    )
    return write_record(
        act,
        id=f"gap/{tap}/{gap.epoch}/{partition}/{gap.first_frame}-{gap.last_frame}",
        type=audits.TYPE,
        source=f"/tap/{tap}",
        subject=subject,
        time_us=now_us,
    )


def old_gaps(tap: str, recovery: Recovery, said: Container[str], now_us: int) -> list[Record]:
    """Acts for the gaps that an old journal has, but for those that were `said` already (their ids)."""
    records = [
        gap_record(tap, partition, _gap(tap, epoch, partition, gap), now_us)
        for epoch, partition, gap in recovery.gaps()
    ]
    return [record for record in records if record.id not in said]


def _gap(tap: str, epoch: int, partition: int, old: OldGap) -> Gap:
    named = old.first >= 0
    return Gap(
        tap=tap,
        epoch=epoch,
        partition=partition,
        events=old.events,
        first_frame=old.first if named else None,
        last_frame=old.last if named else None,
        exchanges=old.exchanges,
        cause=old.cause,
    )


def _born_us(exchange_id: str, otherwise_us: int) -> int:
    """RFC 9562, 5.7: a UUIDv7 begins with the milliseconds at which it was made."""
    try:
        found = UUID(exchange_id)
    except ValueError:
        return otherwise_us
    return (found.int >> 80) * 1000 if found.version == 7 else otherwise_us
