"""Edge: what seal and verify ask of the store and write to it. Every answer is read in pages, so memory stays bounded.

Errors of the store become ServiceUnavailable; after one, whether a write took place is unknown.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from penstock.schemas.addresses import Role
from penstock.schemas.settings import Settings

from .check_content import COLUMNS as CONTENT_COLUMNS
from .check_content import Content
from .checkpoint import Checkpoint
from .leaf import COLUMNS, Position, Row
from .sealing import Leaf, Partition, Place
from .store import connect, store_errors

PAGE_ROWS: Final = 50_000
_BYTES: Final = {"String": "bytes", "FixedString": "native"}
_NAMED: Final = {**_BYTES, "DateTime64*": "int", "Tuple": "tuple"}
_ORDER: Final = "ORDER BY topic, partition, offset, frame_index"


class Ledger:
    """The tables `events_log`, `leaves` and `checkpoints`, as rows of this folder."""

    def __init__(self, settings: Settings, role: Role, page_rows: int = PAGE_ROWS) -> None:
        """Connects in a role: the sealer is a writer, everyone else a reader."""
        self.page_rows = page_rows
        self._client = connect(settings, role)

    def close(self) -> None:
        self._client.close()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a statement, text as bytes."""
        with store_errors():
            return list(self._client.query(sql, query_formats=_BYTES).result_rows)

    def rows(self, where: str, limit: int | None = None) -> list[Row]:
        """Up to `limit` rows (None: a page) of events_log for which `where` holds, in the order of their positions."""
        statement = f"SELECT {COLUMNS} FROM penstock.events_log FINAL WHERE {where} {_ORDER}"
        return [Row._make(row) for row in self.query(f"{statement} LIMIT {limit or self.page_rows}")]

    def rows_at(self, wanted: Collection[Position]) -> dict[Position, Row]:
        """The rows at `wanted` positions, as far as there are any. Fast where those lie close together."""
        spans: dict[Partition, tuple[Place, Place]] = {}
        for position in wanted:
            place = (position.offset, position.frame_index)
            first, last = spans.get((position.topic, position.partition), (place, place))
            spans[position.topic, position.partition] = (min(first, place), max(last, place))
        ranges = [(partition, first, last) for partition, (first, last) in spans.items()]
        found = self.rows(between(ranges), 2 * self.page_rows)
        if len(found) < 2 * self.page_rows:
            return {row.position: row for row in found if row.position in wanted}
        kept = {}
        for one in ranges:
            for row in self.partition_rows(one[0], within=between([one])):
                if row.position in wanted:
                    kept[row.position] = row
        return kept

    def partition_rows(self, partition: Partition, start: Place | None = None, within: str = "1") -> Iterator[Row]:
        """The rows of one partition after `start` for which `within` holds, in order."""
        while True:
            page = self.rows(f"{after(partition, start)} AND {within}")
            yield from page
            if len(page) < self.page_rows:
                return
            start = (page[-1].offset, page[-1].frame_index)

    def partitions(self) -> list[tuple[Partition, int]]:
        """The partitions that have rows, and about how many (a row that was written twice counts twice)."""
        found = self.query(
            "SELECT topic, partition, count() FROM penstock.events_log GROUP BY topic, partition ORDER BY 1, 2"
        )
        return [((topic, partition), count) for topic, partition, count in found]

    def contents(self, rows: Sequence[Row]) -> Iterator[Content]:
        """The content of rows of one partition, in no order that matters."""
        exchanges = ", ".join(sorted({literal(row.exchange_id) for row in rows}))
        first, last = rows[0], rows[-1]
        span = between([((first.topic, first.partition), (first.offset, first.frame_index), (last.offset, 0))])
        yield from map(
            Content._make,
            self.query(
                f"SELECT {CONTENT_COLUMNS} FROM penstock.content FINAL WHERE exchange_id IN ({exchanges}) AND {span}"
            ),
        )

    def contents_where(self, where: str) -> list[Content]:
        """All content for which `where` holds, in no order that matters: for conditions that few rows meet."""
        return list(
            map(Content._make, self.query(f"SELECT {CONTENT_COLUMNS} FROM penstock.content FINAL WHERE {where}"))
        )

    def count(self, source: str) -> int:
        """How many rows a table or a condition on one has (`penstock.x FINAL WHERE …`)."""
        return int(self.query(f"SELECT count() FROM {source}")[0][0])

    def named(self, source: str) -> list[dict[str, Any]]:
        """All rows of `source` by column name: text as bytes, times in the column's units since the epoch."""
        with store_errors():
            found = self._client.query(f"SELECT * FROM {source}", query_formats=_NAMED)
        return list(found.named_results())

    def unsealed_before(self, partition: Partition, last: Place, limit: int) -> list[Position]:
        """Rows of a partition up to `last` that have no leaf."""
        span = between([(partition, (0, 0), last)])
        found = self.query(
            f"SELECT topic, partition, offset, frame_index FROM penstock.events_log FINAL WHERE {span} "
            "AND (offset, frame_index) NOT IN (SELECT offset, frame_index FROM penstock.leaves FINAL WHERE "
            f"topic = {literal(partition[0])} AND partition = {partition[1]}) "
            f"ORDER BY offset, frame_index LIMIT {limit}"
        )
        return [Position._make(row) for row in found]

    def leaf_end(self) -> int:
        """One more than the highest leaf number; 0 without leaves."""
        found = self.query("SELECT count(), max(leaf_index) FROM penstock.leaves")[0]
        return int(found[1]) + 1 if found[0] else 0

    def newest_sealer(self) -> int:
        """The newest sealer that wrote a leaf; 0 without leaves."""
        return int(self.query("SELECT max(sealer) FROM penstock.leaves")[0][0])

    def leaf_count(self, end: int) -> int:
        """How many different numbers below `end` have a leaf."""
        return int(self.query(f"SELECT count() FROM penstock.leaves FINAL WHERE leaf_index < {end}")[0][0])

    def leaves(self, begin: int, end: int) -> Iterator[Leaf]:
        """The leaves with numbers from `begin` to without `end`, in order."""
        for first in range(begin, end, self.page_rows):
            last = min(first + self.page_rows, end)
            yield from map(
                Leaf._make,
                self.query(
                    "SELECT leaf_index, topic, partition, offset, frame_index, leaf_hash, sealer "
                    f"FROM penstock.leaves FINAL WHERE leaf_index >= {first} AND leaf_index < {last} "
                    "ORDER BY leaf_index"
                ),
            )

    def places(self, end: int) -> dict[Partition, Place]:
        """The last place in each partition that has a leaf below `end`."""
        found = self.query(
            "SELECT topic, partition, max((offset, frame_index)) FROM penstock.leaves FINAL "
            f"WHERE leaf_index < {end} GROUP BY topic, partition"
        )
        return {(topic, partition): (place[0], place[1]) for topic, partition, place in found}

    def unsealed(self, places: Mapping[Partition, Place]) -> list[Row]:
        """The next rows that lie beyond `places`, in the order of their positions."""
        return self.rows(beyond(places))

    def insert_leaves(self, leaves: Sequence[Leaf]) -> None:
        """Writes leaves, as one block."""
        columns = ["leaf_index", "topic", "partition", "offset", "frame_index", "leaf_hash", "sealer"]
        with store_errors():
            self._client.insert("penstock.leaves", leaves, column_names=columns)

    def insert_checkpoint(self, checkpoint: Checkpoint, note: str) -> None:
        """Writes a signed checkpoint, for queries: what it proves, it proves by the copies outside the store."""
        row = [checkpoint.size, checkpoint.root, (checkpoint.time_s or 0) * 1_000_000, note]
        with store_errors():
            self._client.insert(
                "penstock.checkpoints",
                [row],
                column_names=["size", "root", "signed_at", "note"],
                column_type_names=["UInt64", "FixedString(32)", "DateTime64(6, 'UTC')", "String"],
            )


def literal(text: bytes) -> str:
    """Stored text in a statement, whatever its bytes are."""
    return f"unhex('{text.hex()}')"


def beyond(places: Mapping[Partition, Place]) -> str:
    """A condition on events_log: after the given place of each partition, and all of the other partitions.

    Written so that ClickHouse answers it from the primary key alone.
    """
    if not places:
        return "1"
    known = ", ".join(f"({literal(topic)}, {partition})" for topic, partition in places)
    parts = [
        f"(topic = {literal(topic)} AND partition = {partition} AND {_after(place)})"
        for (topic, partition), place in places.items()
    ]
    return f"({' OR '.join(parts)} OR (topic, partition) NOT IN ({known}))"


def between(ranges: Iterable[tuple[Partition, Place, Place]]) -> str:
    """A condition on a table with positions: from a place to the end of an offset. False without ranges."""
    parts = [
        f"(topic = {literal(topic)} AND partition = {partition} AND {_from(first)} AND offset <= {last[0]})"
        for (topic, partition), first, last in ranges
    ]
    return f"({' OR '.join(parts)})" if parts else "0"


def after(partition: Partition, place: Place | None) -> str:
    """A condition on a table with positions: in one partition, after a place (None: from its beginning)."""
    return f"topic = {literal(partition[0])} AND partition = {partition[1]} AND {_after(place) if place else 1}"


def _after(place: Place) -> str:
    return f"(offset > {place[0]} OR (offset = {place[0]} AND frame_index > {place[1]}))"


def _from(place: Place) -> str:
    return f"(offset > {place[0]} OR (offset = {place[0]} AND frame_index >= {place[1]}))"
