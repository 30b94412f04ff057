"""The bytes of a leaf: one row of `events_log`, all columns but `recorded_at`, in a form that never changes. Pure.

Version 1 is the context `penstock leaf v1` and a zero byte, then the columns in the table's order: text as its length
in four bytes and its bytes, integers and times in eight bytes, digests as they are. Integers are big-endian; times are
µs (`occurred_at`) and ms (`appended_at`) since the epoch, signed. docs/trail.md has the table and test vectors.
"""

import struct
from typing import Final, NamedTuple

from .merkle import leaf_hash

CONTEXT: Final = b"penstock leaf v1\x00"


class Position(NamedTuple):
    """Where an event lies in Kafka: the key of its row. Sorts as ClickHouse sorts the table."""

    topic: bytes
    partition: int
    offset: int
    frame_index: int

    def __str__(self) -> str:
        return f"{text(self.topic)}/{self.partition}/{self.offset}/{self.frame_index}"


class Row(NamedTuple):
    """One row of `events_log`. Text is bytes as stored, since nothing promises that altered text decodes."""

    topic: bytes
    partition: int
    offset: int
    frame_index: int
    event_id: bytes
    exchange_id: bytes
    kind: bytes
    seq: int
    origin: bytes
    occurred_at_us: int
    appended_at_ms: int
    commitment: bytes
    previous: bytes
    duplicate_of: bytes
    tap_id: bytes
    tap_epoch: int
    frame_number: int

    @property
    def position(self) -> Position:
        return Position(self.topic, self.partition, self.offset, self.frame_index)


COLUMNS: Final = (
    "topic, partition, offset, frame_index, event_id, exchange_id, kind, seq, origin, "
    "toUnixTimestamp64Micro(occurred_at), toUnixTimestamp64Milli(appended_at), commitment, previous, duplicate_of, "
    "tap_id, tap_epoch, frame_number"
)
"""What to select from `events_log` to get the members of `Row`, in order."""

_PLACE: Final = struct.Struct(">QQQ").pack
_TIMES: Final = struct.Struct(">qq").pack
_NUMBERS: Final = struct.Struct(">QQ").pack
_LENGTH: Final = struct.Struct(">I").pack
_SEQ: Final = struct.Struct(">Q").pack


def leaf_bytes(row: Row) -> bytes:
    """The canonical bytes of a row: two rows give the same bytes only if every column but `recorded_at` is the same."""
    return b"".join(
        (
            CONTEXT,
            _LENGTH(len(row.topic)),
            row.topic,
            _PLACE(row.partition, row.offset, row.frame_index),
            _LENGTH(len(row.event_id)),
            row.event_id,
            _LENGTH(len(row.exchange_id)),
            row.exchange_id,
            _LENGTH(len(row.kind)),
            row.kind,
            _SEQ(row.seq),
            _LENGTH(len(row.origin)),
            row.origin,
            _TIMES(row.occurred_at_us, row.appended_at_ms),
            row.commitment,
            row.previous,
            _LENGTH(len(row.duplicate_of)),
            row.duplicate_of,
            _LENGTH(len(row.tap_id)),
            row.tap_id,
            _NUMBERS(row.tap_epoch, row.frame_number),
        )
    )


def row_hash(row: Row) -> bytes:
    """The leaf hash of a row (RFC 6962: SHA-256 of a zero byte and the leaf's bytes)."""
    return leaf_hash(leaf_bytes(row))


def text(stored: bytes) -> str:
    """Stored text for a message: what does not decode is escaped."""
    return stored.decode("utf-8", "backslashreplace")


def printable(message: str) -> str:
    """Text that others wrote, for a terminal: whatever could steer it, or hide the lines around it, is escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in message
    )
