"""Edge: finds content that no event vouches for. Commands and panels read `content`, so what is added there is shown.

Record writes content before its event. So content without an event is honest only where it lies beyond all rows of its
partition, at an offset that Kafka has given out.
"""

from collections.abc import Mapping
from typing import Final

from .leaf import Position, text
from .ledger import Ledger, beyond
from .report import FAULTS_KEPT, Report
from .sealing import Partition, Place

Ends = Mapping[tuple[str, int], int]
"""The next offset that Kafka will give, by topic and partition."""
BUCKET_ROWS: Final = 1_000_000
_KEY: Final = "exchange_id, seq, event_id, topic, partition, offset, frame_index"
_BUCKET: Final = "cityHash64(exchange_id, seq)"
_DEAD_LETTER: Final = b"dead_letter"


def added_content(ledger: Ledger, places: Mapping[Partition, Place], matched: int, report: Report) -> None:
    """Names content among or before the rows that were read, up to `places`, that belongs to none of them. `matched`
    rows of content belong to one. Content of an event that became a dead letter later is a note."""
    read = f"NOT {beyond(places)}" if places else "0"
    found = ledger.count(f"penstock.content FINAL WHERE {read}")
    if found <= matched:
        return
    buckets, left = found // BUCKET_ROWS + 1, 0
    for bucket in range(buckets):
        mine = f"{_BUCKET} % {buckets} = {bucket}"
        for position, exchange in _without_event(ledger, f"{read} AND {mine}", mine):
            row = ledger.rows_at({position}).get(position)
            if row is not None and row.kind == _DEAD_LETTER:
                left += 1
                continue
            what = "no event" if row is None else "another event"
            report.fault(
                "content_added",
                str(position),
                f"content of exchange {text(exchange)} stands there, but {what} does: it was added, or its event was "
                f"removed or altered",
            )
    if left:
        report.note(f"{left} rows of content are of events that became dead letters later")


def content_ahead(ledger: Ledger, places: Mapping[Partition, Place]) -> dict[Partition, tuple[int, int]]:
    """Content that lies beyond `places`, by partition: how many rows, and the largest offset."""
    where = beyond(places) if places else "1"
    found = ledger.query(
        f"SELECT topic, partition, count(), max(offset) FROM penstock.content FINAL WHERE {where} "
        "GROUP BY topic, partition ORDER BY topic, partition"
    )
    return {(topic, partition): (count, offset) for topic, partition, count, offset in found}


def check_ahead(ahead: Mapping[Partition, tuple[int, int]], ends: Ends | None, report: Report) -> None:
    """Names content at offsets that Kafka never gave. `ends` were read after `ahead`; None where Kafka is away."""
    waiting = 0
    for (topic, partition), (count, offset) in ahead.items():
        if ends is not None and offset >= ends.get((text(topic), partition), 0):
            report.fault(
                "content_added",
                f"{text(topic)}/{partition}/{offset}",
                "content stands at an offset that Kafka never gave: it was added",
            )
        else:
            waiting += count
    if waiting:
        report.note(
            f"{waiting} rows of content are ahead of their events: a worker is, or was, between its two writes; "
            f"nothing vouches for them yet"
        )


def _without_event(ledger: Ledger, where: str, bucket: str) -> list[tuple[Position, bytes]]:
    found = ledger.query(
        f"SELECT topic, partition, offset, frame_index, exchange_id FROM penstock.content FINAL WHERE {where} "
        f"AND ({_KEY}) NOT IN (SELECT {_KEY} FROM penstock.events_log FINAL WHERE {bucket}) "
        f"ORDER BY topic, partition, offset, frame_index LIMIT {FAULTS_KEPT + 1}"
    )
    return [(Position(*row[:4]), row[4]) for row in found]
