"""Edge: one exchange as the store holds it: its facts, and its events in order, each held against its leaf's row."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final, Literal

from pydantic import ValidationError

from penstock.schemas.errors import PenstockError, UsageError
from penstock.schemas.events import Completion
from penstock.schemas.settings import Settings
from penstock.schemas.topics import TRAFFIC

from .check_content import COLUMNS, Content, altered
from .leaf import Row
from .ledger import Ledger
from .show_text import Facts
from .store import connect, store_errors

Side = Literal["raw-response", "client-response", "raw-request"]
ID_CHARS: Final = 36
_PAGE_EVENTS: Final = 100
_BYTES: Final = {"String": "bytes"}


class Exchanges:
    """Reads exchanges, as the reader."""

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings, "reader")
        self._ledger = Ledger(settings, "reader")
        self.doubts: list[str] = []

    def close(self) -> None:
        self._client.close()
        self._ledger.close()

    def find(self, prefix: str) -> str:
        """The id that begins with `prefix`. PenstockError (exit code 1) where none does, UsageError where more do."""
        if not prefix:
            raise UsageError("give an exchange id, or how it begins")
        found: set[str] = set()
        for table in ("content", "exchange_facts", "events_log"):
            rows = self._query(
                f"SELECT DISTINCT exchange_id FROM penstock.{table} "
                f"WHERE {'exchange_id =' if len(prefix) == ID_CHARS else 'startsWith(exchange_id, '} {{id:String}}"
                f"{'' if len(prefix) == ID_CHARS else ')'} LIMIT 3",
                prefix,
            )
            found.update(str(row[0]) for row in rows)
            if found:
                break
        if not found:
            raise PenstockError(
                f"no exchange begins with {prefix}: was it recorded yet? `penstock status` tells the lag"
            )
        if len(found) > 1:
            raise UsageError(f"several exchanges begin with {prefix}: {', '.join(sorted(found))} …")
        return found.pop()

    def facts(self, exchange_id: str) -> Facts:
        """The rows of the exchange in exchange_facts, attribution and kills."""
        exchange = self._named("exchange_facts", exchange_id)
        attribution = self._named("attribution", exchange_id)
        return Facts(
            exchange[0] if exchange else {}, attribution[0] if attribution else {}, self._named("kills", exchange_id)
        )

    def events(self, exchange_id: str) -> Iterator[Content]:
        """The traffic events of the exchange in order, a hundred in memory at a time; second copies are left out.

        What contradicts its row in events_log goes to `doubts`; content without a row is no event and is left out.
        """
        last = -1
        while True:
            with store_errors():
                page = self._client.query(
                    f"SELECT {COLUMNS} FROM penstock.content FINAL WHERE exchange_id = {{id:String}} AND seq > {last} "
                    f"AND topic = '{TRAFFIC}' AND NOT duplicate ORDER BY seq LIMIT {_PAGE_EVENTS} WITH TIES",
                    parameters={"id": exchange_id},
                    query_formats=_BYTES,
                ).result_rows
            yield from self._vouched([Content._make(row) for row in page])
            if len(page) < _PAGE_EVENTS:
                return
            last = page[-1][5]

    def _vouched(self, page: list[Content]) -> Iterator[Content]:
        places = ", ".join(str(content.position[1:]) for content in page)
        where = f"topic = '{TRAFFIC}' AND (partition, offset, frame_index) IN ({places})" if page else "0"
        rows = {row.position: row for row in self._ledger.rows(where)}
        for content in page:
            row = rows.get(content.position)
            if row is not None and (row.exchange_id, row.event_id) != (content.exchange_id, content.event_id):
                row = None  # content that was put beside that of the event that stands there
            wrong = doubt_of(content, row)
            if wrong:
                self.doubts.append(f"event {content.seq} at {content.position}: {wrong}")
            if row is not None:
                yield content

    def _query(self, sql: str, exchange_id: str) -> list[tuple[Any, ...]]:
        with store_errors():
            return list(self._client.query(sql, parameters={"id": exchange_id}).result_rows)

    def _named(self, table: str, exchange_id: str) -> list[dict[str, Any]]:
        with store_errors():
            found = self._client.query(
                f"SELECT * FROM penstock.{table} FINAL WHERE exchange_id = {{id:String}}",
                parameters={"id": exchange_id},
            )
        return list(found.named_results())


def doubt_of(content: Content, row: Row | None) -> str:
    """Why this content may not be what was recorded; empty where its row says that it is."""
    if row is None:
        return "no event vouches for it; it is left out"
    if content.is_erased:
        return "its content was erased or emptied"
    return altered(row, content)


class Body:
    """Picks the bytes of one side out of events in order, and tells at the end whether they are all there."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._digest = hashlib.sha256()
        self._count = 0
        self._masked = False
        self._completion: Completion | None = None

    def feed(self, event: Content) -> bytes:
        """The bytes that `event` adds to this side."""
        if event.kind == b"completion":
            try:
                self._completion = Completion.model_validate_json(event.body)
            except ValidationError:
                self._completion = None
        if not self._belongs(event):
            return b""
        self._masked = self._masked or bool(event.redacted)
        self._digest.update(event.body)
        self._count += len(event.body)
        return event.body

    def _belongs(self, event: Content) -> bool:
        if self._side == "raw-request":
            return event.kind == b"prompt" and event.part > 0
        if event.kind != b"chunk":
            return False
        return event.origin == b"upstream" if self._side == "raw-response" else not event.withheld

    def doubt(self) -> str:
        """Why the bytes may not be all there; empty where length and digest are those that the tap saw. A body in
        which a credential was masked is held against its length alone."""
        if self._completion is None:
            return "the exchange has not ended, or its end is not recorded yet"
        if self._completion.recovered:
            return "the tap ended before the exchange did: this is what its journal held, without a length or digest"
        count, digest = {
            "raw-request": (self._completion.request_bytes, self._completion.request_sha256),
            "raw-response": (self._completion.response_bytes, self._completion.response_sha256),
            "client-response": (self._completion.client_bytes, self._completion.client_sha256),
        }[self._side]
        if count != self._count:
            return f"the tap saw {count} bytes, the trail holds {self._count}"
        if digest and not self._masked and digest != self._digest.hexdigest():
            return "the bytes do not have the digest that the tap saw"
        return ""
