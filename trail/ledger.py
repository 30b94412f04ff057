"""Edge: what seal and verify ask of the store and write to it. Every answer is read in pages, so memory stays bounded.

Errors of the store become ServiceUnavailable; after one, whether a write took place is unknown.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from penstock.schemas.addresses import Role
from penstock.schemas.settings import Settings

from .checkpoint import Checkpoint
from .leaf import COLUMNS, Row
from .sealing import Leaf, Partition, Place
from .store import connect, store_errors

PAGE_ROWS: Final = 50_000
_BYTES: Final = {"String": "bytes", "FixedString": "native"}
_ORDER: Final = "ORDER BY topic, partition, offset, frame_index"


class Ledger:
    """The tables `events_log`, `leaves` and `checkpoints`, as rows of this folder."""

    def __init__(self, settings: Settings, role: Role) -> None:
        """Connects in a role: the sealer is a writer, everyone else a reader."""
        self._client = connect(settings, role)

    def close(self) -> None:
        self._client.close()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a statement, text as bytes."""
        with store_errors():
            return list(self._client.query(sql, query_formats=_BYTES).result_rows)

    def rows(self, where: str, limit: int = PAGE_ROWS) -> list[Row]:
        """Up to `limit` rows of events_log for which `where` holds, in the order of their positions."""
        return [
            Row._make(row)
            for row in self.query(
                f"SELECT {COLUMNS} FROM penstock.events_log FINAL WHERE {where} {_ORDER} LIMIT {limit}"
            )
        ]

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
        for first in range(begin, end, PAGE_ROWS):
            last = min(first + PAGE_ROWS, end)
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
    """A condition on a table with positions: in one of the ranges, both ends included. False without ranges."""
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
