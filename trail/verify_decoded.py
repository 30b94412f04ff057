"""Edge: reads the texts of encoded bodies that queries see, and makes them again from the bodies as they came."""

from collections.abc import Iterable, Sequence
from typing import Final

from penstock.schemas.topics import TRAFFIC
from penstock.wire.decoded import encoded_end, text_rows

from .check_content import Content
from .leaf import text
from .ledger import Ledger, literal
from .report import FAULTS_KEPT, Report

Texts = dict[str, list[bytes]]
"""The rows of one exchange by kind, in order."""
_TOPIC: Final = literal(TRAFFIC.encode())


class DecodedVerifier:
    """Fed with the verified content of traffic; `finish` looks for texts of exchanges that never ended.

    An exchange without such rows is no fault: its bodies are there as they came, and say the same.
    """

    def __init__(self, ledger: Ledger, report: Report) -> None:
        self._ledger = ledger
        self._report = report

    def feed(self, contents: Sequence[Content]) -> None:
        """Checks the texts of the exchanges whose completion is among `contents`."""
        ends = {one.exchange_id: one for one in contents if one.kind == b"completion" and not one.duplicate}
        for exchange, stored in self._stored(ends).items():
            self._report.copies += sum(map(len, stored.values()))
            if stored != self._made(ends[exchange]):
                what = "the text that `decoded` holds of its bodies is not what they say: it was altered or added"
                self._report.fault("copy", str(ends[exchange].position), what)

    def finish(self) -> None:
        """After the last event: texts of exchanges that have no end in the trail."""
        rows = self._ledger.query(
            "SELECT DISTINCT exchange_id FROM penstock.decoded WHERE exchange_id NOT IN (SELECT exchange_id FROM "
            f"penstock.events_log WHERE topic = {_TOPIC} AND kind = 'completion') LIMIT {FAULTS_KEPT + 1}"
        )
        for (exchange,) in rows:
            if not self._content(exchange, "kind = 'completion'"):
                what = "no exchange in the trail made this text: it was added"
                self._report.fault("copy", f"decoded {text(exchange)}", what)

    def _stored(self, exchanges: Iterable[bytes]) -> dict[bytes, Texts]:
        wanted = ", ".join(map(literal, sorted(exchanges)))
        found: dict[bytes, Texts] = {}
        if wanted:
            rows = self._ledger.query(
                "SELECT exchange_id, kind, body FROM penstock.decoded FINAL "
                f"WHERE exchange_id IN ({wanted}) ORDER BY exchange_id, kind, seq"
            )
            for exchange, kind, body in rows:
                found.setdefault(exchange, {}).setdefault(text(kind), []).append(body)
        return found

    def _made(self, end: Content) -> Texts:
        said = encoded_end(end.body)
        if said is None:
            return {}
        bodies: dict[str, list[tuple[int, bytes]]] = {"prompt": [], "chunk": []}
        for one in self._content(end.exchange_id, "kind IN ('prompt', 'chunk')"):
            if one.kind == b"prompt" and one.part:
                bodies["prompt"].append((one.part, one.body))
            elif one.kind == b"chunk" and one.origin == b"upstream":
                bodies["chunk"].append((one.seq, one.body))
        made = {
            kind: text_rows(said.codings[kind], (body for _, body in sorted(came))) for kind, came in bodies.items()
        }
        return {kind: rows for kind, rows in made.items() if rows}

    def _content(self, exchange: bytes, which: str) -> list[Content]:
        return self._ledger.contents_where(
            f"exchange_id = {literal(exchange)} AND topic = {_TOPIC} AND NOT duplicate AND {which}"
        )
