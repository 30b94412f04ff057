"""Rows for tests that need no store: a partition's traffic, chained and numbered as record would."""

from collections.abc import Iterable

from penstock.schemas.commitment import ZERO, commitment, traffic_attributes
from penstock.schemas.topics import TRAFFIC
from penstock.trail.check_content import Content
from penstock.trail.leaf import Row, row_hash
from penstock.trail.sealing import Leaf

AT_US = 1_795_500_000_000_000
EPOCH = AT_US - 1
TOPIC = TRAFFIC.encode()


def content_of(offset: int, index: int, exchange: bytes, seq: int, kind: bytes) -> Content:
    attributes = traffic_attributes(kind.decode(), "upstream", 0, False, "").encode()
    event_id = exchange + b"/%d" % seq
    return Content(
        *(TOPIC, 0, offset, index, exchange, seq, event_id, kind, b"upstream", 0, False, b"", False),
        *(b"key:k1", attributes, b"body of " + event_id, b"salt", AT_US + offset),
    )


def row_of(content: Content, previous: bytes) -> Row:
    made = commitment(content.salt, content.subject.decode(), content.attributes.decode(), content.body)
    return Row(
        *(content.topic, content.partition, content.offset, content.frame_index, content.event_id),
        *(content.exchange_id, content.kind, content.seq, content.origin, content.occurred_at_us, AT_US // 1000),
        *(made, previous, b"", b"t1", EPOCH, content.offset),
    )


def traffic(frames: int, per_frame: int = 2) -> list[tuple[Row, Content]]:
    """One exchange over `frames` frames, its last event a completion."""
    made: list[tuple[Row, Content]] = []
    total, previous = frames * per_frame, ZERO
    for seq in range(total):
        kind = b"prompt" if seq == 0 else b"completion" if seq == total - 1 else b"chunk"
        content = content_of(seq // per_frame, seq % per_frame, b"x1", seq, kind)
        row = row_of(content, previous)
        previous = row.commitment
        made.append((row, content))
    return made


def rows_of(frames: int, per_frame: int = 2) -> list[Row]:
    return [row for row, _ in traffic(frames, per_frame)]


def leaves_of(rows: Iterable[Row], sealer: int = 1) -> list[Leaf]:
    return [
        Leaf(number, row.topic, row.partition, row.offset, row.frame_index, row_hash(row), sealer)
        for number, row in enumerate(rows)
    ]
