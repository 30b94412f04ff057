"""Pure: the tap's journal: appends records to segments that someone supplies, and knows which segments still matter.

    publish ─▶ append ─▶ segment (mapped memory) ─▶ read back by position ─▶ Kafka ─▶ acknowledged ─▶ segment dropped

An append is a copy into mapped memory: it makes no system call, and what was copied outlives the process. A segment is
dropped once all of its events are acknowledged and what it says of running exchanges was copied forward.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final
from zlib import crc32

import msgspec

from penstock.schemas.frames import CHUNK, COMPLETION

from .journal_record import (
    AUDIT_LANE,
    EPOCH,
    HEAD_BYTES,
    RECORD_HEAD_BYTES,
    AuditNote,
    GapNote,
    Kind,
    OpenExchange,
    pack_fields,
    pack_mark,
    read_marks,
    read_open,
    write_open,
    write_partial,
    write_record,
)
from .journal_segment import NEVER, Acknowledged, Segment, Supply, bodies_at, record_at

CHUNK_START: Final = b'{"type":"' + CHUNK.encode() + b'"'
COMPLETION_START: Final = b'{"type":"' + COMPLETION.encode() + b'"'
NOWHERE: Final = -1
CARRIED_AT_ONCE: Final = 256
_EVENTS: Final = int(Kind.EVENTS)


class Running:
    """An exchange without a completion: where its last record stands, and what its client got beyond that."""

    __slots__ = ("hidden", "partial", "partial_at", "partition", "position")

    def __init__(self, partition: int, position: int) -> None:
        self.partition = partition
        self.position = position
        self.partial: list[bytes] = []
        self.hidden = 0
        self.partial_at = 0


class Journal:
    """The journal of one process.

    `full`: it has refused events, and nothing was dropped since. `urgent`: events may use what is kept back for its own
    notes. `forgotten`: running exchanges of which nothing could be read back; if the process ends before they do, the
    meter ends them. `on_pressed` is called at once when an append has used room that is kept for exchanges that run.
    """

    def __init__(self, supply: Supply) -> None:
        self.running: dict[str, Running] = {}
        self.segments: dict[int, Segment] = {}
        self.acked: dict[int, Acknowledged] = {}
        self.forgotten = 0
        self.full = False
        self.urgent = False
        self.on_pressed: Callable[[], None] = lambda: None
        self.epoch = 0
        self._supply = supply
        self._current: Segment | None = None
        self._buffer: Any = None
        self._at = self._end = 0
        self._mark = self._start = self._base = 0
        self._frames: dict[int, int] = {}

    @property
    def pressed(self) -> bool:
        """New exchanges should not begin now (see `Supply`)."""
        return self.full or self._supply.pressed

    @property
    def kept_bytes(self) -> int:
        """Bytes of all records that are still kept."""
        return self.bytes_since(0)

    def bytes_since(self, position: int) -> int:
        """Bytes of kept records from `position` on."""
        number, place = position >> 32, position & 0xFFFFFFFF
        found = 0
        for segment in self.segments.values():
            used = self._at if segment is self._current else segment.used
            if segment.head.number >= number:
                found += used - (place if segment.head.number == number else 0)
        return found

    @property
    def position(self) -> int:
        """Where the next record will stand."""
        return self._base | self._at

    def begin(self, epoch: int) -> None:
        """From now on records belong to `epoch`. Without room for a segment the journal is full until there is some."""
        self._retire()
        self.epoch = epoch
        self._frames = {}

    def append(self, partition: int, frame: int, before: int, exchange_id: str, events: list[bytes]) -> int:
        """Events of one exchange and one frame; returns their position, NOWHERE where there is no room for them."""
        body = events[0] if len(events) == 1 else b",".join(events)
        size = len(body)
        at = self._at
        begin = at + RECORD_HEAD_BYTES
        end = begin + size
        if end > self._end:
            if not self._roll(size, control=self.urgent):
                return NOWHERE
            at = self._at
            begin = at + RECORD_HEAD_BYTES
            end = begin + size
        fields = pack_fields(size, _EVENTS, partition, len(events), frame, before)
        buffer = self._buffer
        buffer[begin:end] = body
        buffer[at:begin] = pack_mark(self._mark, crc32(body, crc32(fields, self._start))) + fields
        self._at = (end + 7) & ~7
        self._frames[partition] = frame
        position: int = self._base | at
        if exchange_id:
            running = self.running.get(exchange_id)
            if events[-1].startswith(COMPLETION_START):
                if running is not None:
                    del self.running[exchange_id]
            elif running is None:
                self.running[exchange_id] = Running(partition, position)
            else:
                running.position = position
                if running.partial and events[-1].startswith(CHUNK_START):
                    running.partial, running.hidden = [], 0
        return position

    def dropped(self, exchange_id: str, events: list[bytes]) -> None:
        """Events of an exchange found no room. One whose end was dropped is not waited for any more."""
        if events[-1].startswith(COMPLETION_START):
            self.running.pop(exchange_id, None)

    def partial(self, exchange_id: str, data: bytes, hidden: int) -> None:
        """Bytes that the client gets before their event can be made; the next chunk of the exchange holds them. The
        last `hidden` bytes so far are not told (see `write_partial`)."""
        running = self.running.get(exchange_id)
        if running is None:
            return
        body = write_partial(exchange_id.encode(), data, hidden)
        position = self._note(Kind.PARTIAL, running.partition, 0, 0, 0, body, control=False)
        if position != NOWHERE:
            running.partial_at = running.partial_at if running.partial else position
            running.partial.append(data)
            running.hidden = hidden

    def acknowledge(self, partition: int, epoch: int, frame: int, events: int) -> None:
        """Kafka has the partition's frames up to this one, `events` events. Segments that are done with are dropped."""
        self.acked[partition] = (epoch, frame, events)
        self._say_acknowledged(partition)
        self.free()

    def gap(self, partition: int, frame: int, before: int, events: int, note: GapNote) -> None:
        """Events were dropped under a frame number of their own; said at the beginning of a gap and at its end."""
        self._note(Kind.GAP, partition, events, frame, before, msgspec.json.encode(note))

    def audit(self, number: int, note: AuditNote) -> bool:
        """An event for the audit topic; False where there is no room."""
        position = self._note(Kind.AUDIT, AUDIT_LANE, 1, number, 0, msgspec.json.encode(note))
        if position != NOWHERE:
            self._frames[AUDIT_LANE] = number
        return position != NOWHERE

    def read(self, positions: Iterable[int]) -> list[bytes]:
        """The bodies of the records at ascending positions; for a thread beside the loop. A record that is not whole
        any more raises ValueError."""
        return bodies_at(self.segments, self._supply, positions)

    def free(self) -> int:
        """Drops the oldest segments that nothing needs any more; returns how many."""
        dropped = 0
        while self.segments:
            segment = next(iter(self.segments.values()))
            if segment is self._current or not self._is_done(segment) or not self._carry_forward(segment.head.number):
                break
            for partition in self.acked:
                self._say_acknowledged(partition)
            del self.segments[segment.head.number]
            self._supply.drop(segment)
            dropped += 1
        self.full = self.full and not self._supply.has_room
        return dropped

    def renew(self) -> bool:
        """Gives up the segment that is written, if Kafka has everything in it, so that nothing stays in the journal for
        want of traffic; returns whether that is so. The next append takes another one."""
        current = self._current
        if current is None:
            return True
        if any(self.acked.get(lane, NEVER) < (self.epoch, frame) for lane, frame in self._frames.items()):
            return False
        self._retire()
        self._drop_all()
        self.free()
        return True

    def adopt(self, segment: Segment) -> None:
        """A segment of an earlier process, oldest first."""
        self.segments[segment.head.number] = segment

    def close(self) -> None:
        """Nothing more is written. What Kafka has is dropped."""
        self._retire()
        self._drop_all()

    def _drop_all(self) -> None:
        """Drops all segments where nothing of them matters any more, so that no new one is needed to say so."""
        if not self.running and all(map(self._is_done, self.segments.values())):
            for segment in self.segments.values():
                self._supply.drop(segment)
            self.segments.clear()

    def _is_done(self, segment: Segment) -> bool:
        epoch = segment.head.epoch
        return all(self.acked.get(lane, NEVER) >= (epoch, frame) for lane, frame in segment.need.items())

    def _say_acknowledged(self, partition: int) -> None:
        epoch, frame, events = self.acked[partition]
        self._note(Kind.ACKNOWLEDGED, partition, 0, frame, events, EPOCH.pack(epoch))

    def _carry_forward(self, number: int) -> bool:
        """What only segment `number` says of running exchanges is said again at the end of the journal, a bounded
        number of them per call; True once there is none left."""
        limit, left = (number + 1) << 32, CARRIED_AT_ONCE
        unknown: list[str] = []
        for exchange_id, running in self.running.items():
            if running.position < limit or (running.partial and running.partial_at < limit):
                if not left:
                    break
                left -= 1
                try:
                    position = self._repeat(exchange_id, running)
                except (OSError, ValueError):
                    unknown.append(exchange_id)
                    continue
                if position == NOWHERE:
                    return False
                running.position = position
                running.partial_at = position
        for exchange_id in unknown:
            del self.running[exchange_id]
        self.forgotten += len(unknown)
        return left > 0

    def _repeat(self, exchange_id: str, running: Running) -> int:
        record = record_at(self.segments, self._supply, running.position)
        if record.kind == Kind.OPEN:
            known = read_open(record.body)[0]
        else:
            mark = [one for one in read_marks(b"[%b]" % record.body) if one.exchangeid == exchange_id][-1]
            known = OpenExchange(
                exchange=exchange_id, seq=mark.seq + 1, source=mark.source, subject=mark.subject, time=mark.time
            )
        body = write_open(known, b"".join(running.partial), running.hidden)
        frame = self._frames.get(running.partition, -1) + 1
        return self._note(Kind.OPEN, running.partition, 0, frame, record.before + record.count, body)

    def _note(
        self, kind: int, partition: int, count: int, frame: int, before: int, body: bytes, *, control: bool = True
    ) -> int:
        if self._at + RECORD_HEAD_BYTES + len(body) > self._end and not self._roll(len(body), control=control):
            return NOWHERE
        at, segment = self._at, self._current
        assert segment is not None
        begin, end = at + RECORD_HEAD_BYTES, at + RECORD_HEAD_BYTES + len(body)
        self._buffer[begin:end] = body
        self._buffer[at:begin] = write_record(segment.head, kind, partition, count, frame, before, body)
        self._at = (end + 7) & ~7
        return self._base | at

    def _roll(self, size: int, *, control: bool) -> bool:
        """The next segment; False where there is none."""
        self._write_end()  # first, since one that another follows must have it; overwritten where none follows
        segment = self._supply.take(self.epoch, size, control=control)
        if segment is None:
            self.full = True
            return False
        self._retire()
        head = segment.head
        self.segments[head.number] = self._current = segment
        self._buffer, self._at, self._end = segment.buffer, HEAD_BYTES, head.size
        self._mark, self._start, self._base = head.mark, head.start, head.number << 32
        if self._supply.pressed:
            self.on_pressed()
        return True

    def _write_end(self) -> None:
        if self._current is not None and self._at + RECORD_HEAD_BYTES <= self._end:
            end = write_record(self._current.head, Kind.END, 0, 0, 0, 0, b"")
            self._buffer[self._at : self._at + RECORD_HEAD_BYTES] = end

    def _retire(self) -> None:
        current = self._current
        if current is not None:
            self._write_end()
            current.used = min(self._at + RECORD_HEAD_BYTES, self._end)
            current.need = dict(self._frames)
            self._supply.retire(current)
            self._base = (current.head.number + 1) << 32
        self._current, self._buffer, self._at, self._end = None, None, 0, 0
