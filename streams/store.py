"""Edge: writes items to ClickHouse so that no crash, retry or second worker loses or doubles a row.

What is stored is read back from `events_log` alone, the table that is written last: rows at or below a partition's mark
are there, with content and facts. After any error the outcome is unknown, so marks and client are forgotten and the
caller tries again from what the store says.
"""

import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import clickhouse_connect
import urllib3
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError

from penstock.schemas.addresses import clickhouse_client
from penstock.schemas.commitment import ZERO
from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.facts import TABLES
from penstock.schemas.settings import Settings

from .rows import (
    CONTENT,
    EVENTS_LOG,
    Columns,
    Mark,
    PartitionKey,
    beyond,
    content_columns,
    events_columns,
    facts_columns,
    marks_after,
)
from .seen import Place, Seen, copies_among
from .source import Item
from .texts import DECODED, Piece, decoded_columns, ended_of, pieces_of, runs

_CONNECT_S: Final = 5
_ANSWER_S: Final = 60
_IDS_PER_QUERY: Final = 500
_ONE_BLOCK_ROWS: Final = 1_000_000

_MARK: Final = """
SELECT offset, frame_index, commitment FROM penstock.events_log
WHERE topic = %(topic)s AND partition = %(partition)s
ORDER BY topic DESC, partition DESC, offset DESC, frame_index DESC LIMIT 1
"""
_FIRST_COPIES: Final = """
SELECT event_id, topic, partition, offset, frame_index FROM penstock.events_log
WHERE (topic, partition, offset, frame_index) IN (
    SELECT topic, partition, offset, frame_index FROM penstock.content
    WHERE (exchange_id, seq, event_id) IN %(ids)s
) AND duplicate_of = ''
"""
"""`content` is ordered by exchange and finds the places fast; `events_log` says which of them count."""
_PIECES: Final = """
SELECT exchange_id, kind, place, body FROM penstock.bodies WHERE exchange_id IN %(ids)s AND NOT is_decoded
"""


class Store:
    """One writer's view of the store. Every method blocks, raises ServiceUnavailable where the outcome is unknown, and
    is called by one thread at a time; `revoked` may come from another at any moment."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Any = None
        self._contexts: dict[str, Any] = {}
        self._marks: dict[PartitionKey, Mark] = {}
        self._seen = Seen()

    def unstored(self, items: Sequence[Item]) -> tuple[list[Item], dict[PartitionKey, Mark]]:
        """The items that the store lacks, and the marks that say so."""
        with _Outcome(self):
            marks = self._marks_of(items, self._marks)
        return beyond(items, marks), marks

    def write(self, items: Sequence[Item]) -> int:
        """Stores the items that the store lacks: content and facts first, `events_log` last, each in one block of one
        insert. Returns how many were second copies. ValueError where a value does not fit its column."""
        with _Outcome(self):
            known, seen = self._marks, self._seen
            marks = self._marks_of(items, known)
            fresh = beyond(items, marks)
            if not fresh:
                return 0
            copies = copies_among(fresh, self._first_copies(fresh, seen))
            self._insert(CONTENT, content_columns(fresh, copies))
            self._decode_bodies(fresh, copies)
            facts = facts_columns(fresh, copies)
            for table in TABLES:
                if table in facts:
                    self._insert(table, facts[table])
            self._insert(EVENTS_LOG, events_columns(fresh, marks, copies, time.time_ns() // 1000))
            known.update(marks_after(fresh, marks))
            seen.stored(fresh, copies)
        return len(copies)

    def _decode_bodies(self, fresh: Sequence[Item], copies: Mapping[Place, str]) -> None:
        """What the encoded bodies of exchanges that end here say. What came in earlier batches is read back."""
        for run in runs(ended_of(fresh, copies)):
            here = [piece for one in run if one.events is not None for piece in pieces_of(one.events)]
            earlier = self._pieces([one.exchange_id for one in run if one.events is None])
            self._insert(DECODED, decoded_columns(run, [*here, *earlier]))

    def _pieces(self, exchanges: Sequence[str]) -> list[Piece]:
        if not exchanges:
            return []
        found = self._connected().query(_PIECES, parameters={"ids": tuple(exchanges)}, column_formats={"body": "bytes"})
        return [Piece(*row) for row in found.result_rows]

    def revoked(self) -> None:
        """Forgets what was read before a rebalance. A write under way goes on with the old view, which then dies."""
        self._marks, self._seen = {}, Seen()

    def close(self) -> None:
        """Forgets marks and client."""
        self.revoked()
        client, self._client, self._contexts = self._client, None, {}
        if client is not None:
            client.close()

    def _connected(self) -> Any:
        if self._client is None:
            self._client = clickhouse_connect.get_client(
                **clickhouse_client(self._settings, "writer"),
                connect_timeout=_CONNECT_S,
                send_receive_timeout=_ANSWER_S,
                compress=False,
            )
        return self._client

    def _marks_of(self, items: Sequence[Item], known: dict[PartitionKey, Mark]) -> dict[PartitionKey, Mark]:
        places = {item.source.place for item in items}
        for place in places - known.keys():
            parameters = {"topic": place[0], "partition": place[1]}
            rows = self._connected().query(_MARK, parameters=parameters).result_rows
            known[place] = Mark(rows[0][0], rows[0][1], bytes(rows[0][2])) if rows else Mark(-1, 0, ZERO)
        return {place: known[place] for place in places}

    def _first_copies(self, items: Sequence[Item], seen: Seen) -> dict[str, list[Place]]:
        asked = seen.questions(items)
        found = self._places(asked)
        known = {item.event_id for item in asked}
        found.update(self._places([item for item in seen.followers(items, found) if item.event_id not in known]))
        return found

    def _places(self, items: Sequence[Item]) -> dict[str, list[Place]]:
        found: dict[str, list[Place]] = {}
        for start in range(0, len(items), _IDS_PER_QUERY):
            ids = tuple((item.exchange_id, item.seq, item.event_id) for item in items[start : start + _IDS_PER_QUERY])
            for event_id, *place in self._connected().query(_FIRST_COPIES, parameters={"ids": ids}).result_rows:
                found.setdefault(event_id, []).append((place[0], place[1], place[2], place[3]))
        return found

    def _insert(self, table: str, columns: Columns) -> None:
        names = list(columns)
        if not columns[names[0]]:
            return
        client = self._connected()
        if table not in self._contexts:
            context = client.create_insert_context(f"penstock.{table}", column_names=names, column_oriented=True)
            context.req_block_size = _ONE_BLOCK_ROWS
            self._contexts[table] = context
        context = self._contexts[table]
        context.data = [columns[name] for name in names]
        client.data_insert(context)
        context.data = None


class _Outcome:
    """Turns any failure of the store into ServiceUnavailable, and makes the store forget what it believed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None:
            return
        self._store.close()
        if isinstance(error, DataError | ArithmeticError | TypeError | struct.error):
            raise ValueError("a row does not fit its table") from error
        if isinstance(error, ClickHouseError | urllib3.exceptions.HTTPError | OSError):
            first_line = (str(error).splitlines() or [""])[0][:200]
            raise ServiceUnavailable(f"the store failed: {type(error).__name__}: {first_line}") from error
