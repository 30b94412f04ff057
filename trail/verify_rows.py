"""Edge: reads all rows with their content, by partition; the audit topic first, since it names what is gone."""

from collections.abc import Iterator
from typing import Final

from penstock.schemas.topics import AUDIT, TRAFFIC

from .acts import Acts
from .check_content import Content, altered
from .check_frames import FrameCheck
from .check_rows import RowCheck, named_first, no_copy
from .leaf import Row, text
from .ledger import Ledger
from .report import Report
from .sealing import Partition, Place
from .verify_added import added_content
from .verify_copies import CopyVerifier
from .verify_decoded import DecodedVerifier
from .verify_leaves import Progress, Protected

CHUNK_ROWS: Final = 2000
CHUNK_PROMPTS: Final = 200
"""A prompt's part may have 700 KB: chunks stay below 150 MB of content."""
_COUNTED: Final = ("rows", "stored", "dead_lettered", "duplicates", "unprotected")
MISSING_KEPT: Final = 100_000
UNSEALED_NAMED: Final = 20
ACTS_NAMED: Final = 20


class RowVerifier:
    """One run over all rows. `run` may be called once."""

    def __init__(self, ledger: Ledger, protected: Protected, report: Report, progress: Progress) -> None:
        self._ledger = ledger
        self._protected = protected
        self._report = report
        self._progress = progress
        self._acts = Acts()
        self._copies = CopyVerifier(ledger, report)
        self._decoded = DecodedVerifier(ledger, report)
        self._matched = 0
        self._relied: dict[str, int] = {}
        self._missing: list[tuple[str, str]] = []
        self._finishing: list[tuple[Partition, RowCheck, FrameCheck | None]] = []
        self._done = 0

    def run(self) -> dict[Partition, Place]:
        """Checks all rows, their content, and what else was made of it; returns how far each partition was read.

        Rows that arrive meanwhile may or may not be among them.
        """
        partitions = self._ledger.partitions()
        total = sum(count for _, count in partitions)
        audit_first = sorted(partitions, key=lambda found: (text(found[0][0]) != AUDIT, found[0]))
        last: dict[Partition, Place] = {}
        for partition, _ in audit_first:
            last[partition] = self._partition(partition, total)
        self._late_acts({partition: place for partition, place in last.items() if text(partition[0]) == AUDIT})
        self._conclude()
        self._copies.finish()
        self._decoded.finish()
        added_content(self._ledger, last, self._matched, self._report)
        return last

    def _partition(self, partition: Partition, total: int) -> Place:
        rows = RowCheck(partition, self._report)
        frames = FrameCheck(self._report) if text(partition[0]) == TRAFFIC else None
        self._finishing.append((partition, rows, frames))
        limit = self._protected.places.get(partition, (-1, 0))
        within, place, before = 0, (-1, 0), _counts(self._report)
        for chunk in chunks(self._ledger.partition_rows(partition)):
            for row in chunk:
                hole = rows.feed(row)
                if frames is not None:
                    frames.feed(row, hole)
                place = (row.offset, row.frame_index)
                within += place <= limit
                self._report.unprotected += place > limit
            self._contents(chunk)
            self._second_copies(chunk)
            self._done += len(chunk)
            self._progress("rows", self._done, total)
        self._report.partitions[f"{text(partition[0])}/{partition[1]}"] = {
            **{name: count - before[name] for name, count in _counts(self._report).items()},
            "first_offset": rows.first.offset if rows.first else -1,
            "last_offset": place[0],
        }
        if within > self._protected.rows.get(partition, 0):
            for position in self._ledger.unsealed_before(partition, limit, UNSEALED_NAMED):
                self._report.fault(
                    "row_unsealed", str(position), "the row has no leaf, though rows after it have: it was added later"
                )
        return place

    def _contents(self, chunk: list[Row]) -> None:
        wanted = {row.position: row for row in chunk if row.kind != b"dead_letter"}
        self._report.content_expected += len(wanted)
        fine = []
        for content in self._ledger.contents(chunk):
            row = wanted.pop(content.position, None)
            if row is not None:
                self._matched += 1
                if self._content(row, content):
                    fine.append(content)
        topic = text(chunk[0].topic)
        if topic == TRAFFIC:
            self._decoded.feed(fine)
        else:
            self._copies.feed(topic, fine)
        for row in wanted.values():
            self._gone(text(row.exchange_id), str(row.position), "its content is missing, and no erasure names it")

    def _content(self, row: Row, content: Content) -> bool:
        """Whether the content is there and as it was recorded."""
        if content.is_erased:
            what = "its content was emptied, and no erasure names it"
            self._gone(text(row.exchange_id), str(row.position), what)
            return False
        self._report.content_present += 1
        self._report.content_redacted += bool(content.redacted)
        found = altered(row, content)
        if found:
            self._report.fault("content_altered", str(row.position), f"its content was altered: {found}")
        elif text(row.topic) == AUDIT:
            self._acts.feed(content.body, self._act_place(row))
        return not found

    def _second_copies(self, chunk: list[Row]) -> None:
        copies = {row: named_first(row) for row in chunk if row.duplicate_of}
        rows = self._ledger.rows_at({first for first in copies.values() if first is not None})
        for row, first in copies.items():
            wrong = no_copy(row, None if first is None else rows.get(first))
            if wrong:
                self._report.fault("duplicate", str(row.position), wrong)

    def _gone(self, exchange: str, where: str, what: str) -> None:
        if exchange in self._acts.erased:
            self._erased(exchange)
        elif len(self._missing) < MISSING_KEPT:
            self._missing.append((exchange, f"{where}\n{what}"))
        else:
            self._report.content_missing += 1
            self._report.fault("content_missing", where, what)

    def _act_place(self, row: Row) -> str:
        """Where an act stands, and whether a checkpoint covers it: who may write the store may write a newer one."""
        limit = self._protected.places.get((row.topic, row.partition), (-1, 0))
        newer = (row.offset, row.frame_index) > limit
        return f"{row.position}{', which no checkpoint covers yet' if newer else ''}"

    def _erased(self, exchange: str) -> None:
        self._report.content_erased += 1
        where = self._acts.erased[exchange]
        self._relied[where] = self._relied.get(where, 0) + 1

    def _late_acts(self, audit: dict[Partition, Place]) -> None:
        """Acts that were recorded while the other topics were read may name what was missing there."""
        for partition, place in audit.items():
            for chunk in chunks(self._ledger.partition_rows(partition, place)):
                rows = {row.position: row for row in chunk}
                for content in self._ledger.contents(chunk):
                    row = rows.get(content.position)
                    if row is not None and not altered(row, content):
                        self._acts.feed(content.body, self._act_place(row))

    def _conclude(self) -> None:
        report = self._report
        for exchange, fault in self._missing:
            if exchange in self._acts.erased:
                self._erased(exchange)
            else:
                where, _, what = fault.partition("\n")
                report.content_missing += 1
                report.fault("content_missing", where, what)
        for (topic, number), rows, frames in self._finishing:
            name = text(topic)
            for first, last in self._acts.offsets.get((name, number), ()):
                if rows.has_rows(first, last):
                    report.note(f"a gap names offsets {first}–{last} of {name}/{number}, though some of them have rows")
            for hole in rows.holes:
                if not self._acts.covers_offsets(name, number, (hole.first, hole.last)):
                    what = f"offsets {hole.first}–{hole.last} have no row, and no gap names them"
                    report.fault("offsets", f"{name}/{number}", what)
            if frames is not None:
                frames.finish(number, self._acts, name)
        for where, count in list(self._relied.items())[:ACTS_NAMED]:
            report.note(f"the content of {count} events is gone by the act of erasure {where}")
        if len(self._relied) > ACTS_NAMED:
            report.note(f"{len(self._relied) - ACTS_NAMED} more acts of erasure account for content that is gone")
        report.gaps, report.gap_events = self._acts.gaps, self._acts.gap_events


def _counts(report: Report) -> dict[str, int]:
    return {name: getattr(report, name) for name in _COUNTED}


def chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """`rows` in lists whose content fits in memory."""
    chunk: list[Row] = []
    prompts = 0
    for row in rows:
        chunk.append(row)
        prompts += row.kind == b"prompt"
        if len(chunk) == CHUNK_ROWS or prompts == CHUNK_PROMPTS:
            yield chunk
            chunk, prompts = [], 0
    if chunk:
        yield chunk
