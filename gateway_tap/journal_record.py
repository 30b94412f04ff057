"""Pure: the bytes of the journal: segments, and the records in them.

    segment = head of 512 bytes, records at multiples of 8, zeros to its end
    record  = mark 4 · crc 4 · size 4 · kind 1 · spare 1 · partition 2 · count 4 · frame 4 · before 8 · body

Little endian. `mark` and the start value of `crc` (CRC-32 of ISO-HDLC over everything behind it) are random per segment
and stand in its head, so that no content can be taken for a record. A record counts only if it is whole: one that was
torn by the end of the process is the last of its segment, and is as if it had never been written.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from zlib import crc32

import msgspec

VERSION: Final = 1
MAGIC: Final = b"PNSTKJNL"
HEAD_BYTES: Final = 512
RECORD_HEAD_BYTES: Final = 32
AUDIT_LANE: Final = 0xFFFF
"""Stands for the audit topic where a partition of the traffic topic would stand."""

_RECORD: Final = struct.Struct("<IBxHIIQ")
_MARKED: Final = struct.Struct("<II")
_HEAD: Final = struct.Struct("<8sIII")
EPOCH: Final = struct.Struct("<Q")
pack_fields, pack_mark = _RECORD.pack, _MARKED.pack


class Kind(IntEnum):
    """What a record says. `partition`, `frame` and `before` (events accepted in the partition before it) are set for
    all but PARTIAL."""

    EVENTS = 1
    """`count` events of one frame, joined by commas. `frame` is the frame that they belong to."""
    ACKNOWLEDGED = 2
    """Frames up to `frame` of the epoch in the body (8 bytes) are in Kafka: `before` events."""
    OPEN = 3
    """An exchange that runs, copied forward (`OpenExchange` as JSON). `frame`: the next of its partition."""
    PARTIAL = 4
    """Bytes that a client got before their event was made (`write_partial`)."""
    GAP = 5
    """`count` events were dropped; `frame` stands for them (`GapNote` as JSON). The last of a frame counts."""
    AUDIT = 6
    """An event for the audit topic (`AuditNote` as JSON). `frame` is its number."""
    END = 7
    """The last of a segment that another one follows."""


class SegmentHead(msgspec.Struct, frozen=True, kw_only=True):
    """Whose segment it is: `epoch` of its content, `writer` the epoch of the process that wrote it, `boot` the boot of
    the host at that time."""

    tap: str
    epoch: int
    writer: int
    number: int
    size: int
    partitions: int
    boot: str
    mark: int
    start: int


class OpenExchange(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange that has no completion: what its next event needs to know. `time`: of its last event."""

    exchange: str
    seq: int
    source: str
    subject: str
    time: str


class GapNote(msgspec.Struct, frozen=True, kw_only=True):
    """What was dropped."""

    cause: str
    exchanges: list[str]


class AuditNote(msgspec.Struct, frozen=True, kw_only=True):
    """An event for the audit topic, as it is sent."""

    key: str
    value: str
    headers: list[tuple[str, str]]


class EventMark(msgspec.Struct, frozen=True):
    """What the journal must know of an event."""

    type: str
    exchangeid: str
    seq: int
    source: str
    subject: str
    time: str
    origin: str


read_marks: Final = msgspec.json.Decoder(list[EventMark]).decode


class ForeignSegment(Exception):
    """The file is no segment that this version can read. The message says why."""


@dataclass(frozen=True, slots=True)
class Record:
    """One whole record. `at` and `end` are places in its segment, `body` its content."""

    kind: int
    partition: int
    count: int
    frame: int
    before: int
    at: int
    end: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes from `at` to `end` that are no record, though something follows or should follow them."""

    at: int
    end: int


def write_head(head: SegmentHead) -> bytes:
    """The first 512 bytes of a segment."""
    body = msgspec.json.encode(head)
    if len(body) > HEAD_BYTES - _HEAD.size:
        raise ValueError("a tap's id is too long for a segment's head")
    return (_HEAD.pack(MAGIC, VERSION, len(body), crc32(body)) + body).ljust(HEAD_BYTES, b"\0")


def read_head(data: bytes) -> SegmentHead | None:
    """The head of a segment; None where nothing was ever written. ForeignSegment where it is something else."""
    if not any(data[:HEAD_BYTES]):
        return None
    if len(data) < HEAD_BYTES or data[:8] != MAGIC:
        raise ForeignSegment("it does not begin as a segment of a journal")
    _, version, size, check = _HEAD.unpack_from(data)
    if version != VERSION:
        raise ForeignSegment(f"it is of version {version}, and this one reads version {VERSION}")
    body = data[_HEAD.size : _HEAD.size + min(size, HEAD_BYTES)]
    if crc32(body) != check:
        raise ForeignSegment("its head is damaged")
    return msgspec.json.decode(body, type=SegmentHead)


def aligned(at: int) -> int:
    """The next place where a record may begin."""
    return (at + 7) & ~7


def write_record(
    head: SegmentHead, kind: int, partition: int, count: int, frame: int, before: int, body: bytes
) -> bytes:
    """The 32 bytes that go before `body`."""
    fields = pack_fields(len(body), kind, partition, count, frame, before)
    return pack_mark(head.mark, crc32(body, crc32(fields, head.start))) + fields


def read_record(data: memoryview, at: int, head: SegmentHead) -> Record | None:
    """The record at `at`; None where there is no whole one."""
    begin = at + RECORD_HEAD_BYTES
    if begin > len(data):
        return None
    mark, check = _MARKED.unpack_from(data, at)
    if mark != head.mark:
        return None
    fields = data[at + _MARKED.size : begin]
    size, kind, partition, count, frame, before = _RECORD.unpack(fields)
    end = begin + size
    if end > len(data):
        return None
    body = data[begin:end]
    if crc32(body, crc32(fields, head.start)) != check:
        return None
    return Record(kind, partition, count, frame, before, at, end, bytes(body))


def scan(data: memoryview, head: SegmentHead, *, last: bool) -> Iterator[Record | Damage]:
    """The records of a segment in order, and what is damaged between them. `last`: its process wrote nothing after this
    segment, so a torn end is no damage; any other ends with END."""
    at = HEAD_BYTES
    while at + RECORD_HEAD_BYTES <= len(data):
        record = read_record(data, at, head)
        if record is None:
            record = _next_record(data, at + 8, head)
            if record is not None or not last:
                yield Damage(at, record.at if record else len(data))
        if record is None or record.kind == Kind.END:
            return
        yield record
        at = aligned(record.end)


def _next_record(data: memoryview, start: int, head: SegmentHead) -> Record | None:
    whole, mark = bytes(data), head.mark.to_bytes(4, "little")
    at = whole.find(mark, start)
    while at >= 0:
        record = read_record(data, at, head) if at % 8 == 0 else None
        if record is not None:
            return record
        at = whole.find(mark, at + 1)
    return None


_PARTIAL: Final = struct.Struct("<BI")
_OPEN: Final = struct.Struct("<II")


def write_partial(exchange_id: bytes, data: bytes, hidden: int) -> bytes:
    """The body of a PARTIAL: `data`, then `hidden` bytes that may be the beginning of a credential and are not told."""
    return _PARTIAL.pack(len(exchange_id), hidden) + exchange_id + data


def read_partial(body: bytes) -> tuple[str, bytes, int]:
    """Exchange, data, hidden."""
    size, hidden = _PARTIAL.unpack_from(body)
    begin = _PARTIAL.size + size
    return body[_PARTIAL.size : begin].decode(), body[begin:], hidden


def write_open(exchange: OpenExchange, data: bytes, hidden: int) -> bytes:
    """The body of an OPEN: the exchange, and all that would stand in its PARTIALs."""
    text = msgspec.json.encode(exchange)
    return _OPEN.pack(len(text), hidden) + text + data


def read_open(body: bytes) -> tuple[OpenExchange, bytes, int]:
    """Exchange, data, hidden."""
    size, hidden = _OPEN.unpack_from(body)
    begin = _OPEN.size + size
    return msgspec.json.decode(body[_OPEN.size : begin], type=OpenExchange), body[begin:], hidden
