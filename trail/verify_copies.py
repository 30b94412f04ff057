"""Edge: reads the tables for queries, and holds their rows against the records that they were made of."""

from collections.abc import Iterable, Sequence
from typing import Final

from penstock.schemas.topics import ATTRIBUTION, AUDIT, COVERAGE, VIOLATIONS

from .check_content import Content
from .check_copies import Made, Values, contradictions, made_of
from .leaf import text
from .ledger import Ledger, literal
from .report import FAULTS_KEPT, Report

TOPICS_OF: Final = {
    "exchange_facts": (ATTRIBUTION,),
    "attribution": (ATTRIBUTION,),
    "kills": (ATTRIBUTION,),
    "audit": (AUDIT,),
    "violations": tuple(VIOLATIONS.values()),
    "coverage": (COVERAGE,),
}
"""The topics whose records add rows to each table."""
BUCKET_ROWS: Final = 1_000_000


class CopyVerifier:
    """Fed with the verified records of all topics but traffic; `finish` looks for rows that no record made."""

    def __init__(self, ledger: Ledger, report: Report) -> None:
        self._ledger = ledger
        self._report = report

    def feed(self, topic: str, contents: Sequence[Content]) -> None:
        """Checks the rows that records of one topic gave. Second copies of a record give none."""
        made = [row for content in contents if not content.duplicate for row in made_of(content, recorded=True)]
        for table, topics in TOPICS_OF.items():
            if topic in topics:
                self._table(table, made)

    def finish(self) -> None:
        """After the last record: rows whose record the trail lacks."""
        for table in TOPICS_OF:
            for group in self._unknown(table):
                self._closely(table, group, self._stored(table, [group]).get(group, []))

    def _table(self, table: str, made: Sequence[Made]) -> None:
        groups: dict[str, list[Made]] = {}
        for row in made:
            mine = groups.setdefault(str(row.values[_group(table)]), [])
            if row.table == table:
                mine.append(row)
        stored = self._stored(table, groups)
        self._report.copies += sum(map(len, groups.values()))
        for group, mine in groups.items():
            if contradictions(table, mine, stored.get(group, [])):
                self._closely(table, group, stored.get(group, []))

    def _closely(self, table: str, group: str, stored: Sequence[Values]) -> None:
        """Looks at all records of one group, those included that are on their way into the trail."""
        for where, what in contradictions(table, self._made(table, group), stored):
            self._report.fault("copy", where, what)

    def _made(self, table: str, group: str) -> list[Made]:
        found = self._ledger.contents_where(
            f"{_group(table)} = {literal(group.encode())} AND topic IN ({_topics(table)}) AND NOT duplicate"
        )
        rows = self._ledger.rows_at({content.position for content in found})
        return [
            row
            for content in sorted(found, key=lambda content: content.position)
            for row in made_of(content, recorded=content.position in rows)
            if row.table == table
        ]

    def _stored(self, table: str, groups: Iterable[str]) -> dict[str, list[Values]]:
        wanted = ", ".join(literal(group.encode()) for group in sorted(groups))
        found: dict[str, list[Values]] = {}
        if wanted:
            for values in self._ledger.named(f"penstock.{table} FINAL WHERE {_group(table)} IN ({wanted})"):
                found.setdefault(text(values[_group(table)]), []).append(values)
        return found

    def _unknown(self, table: str) -> list[str]:
        """Groups that have rows in `table` and no record in the trail, as many as are named. A million are compared at
        a time, so that the store needs little memory."""
        name = _group(table)
        buckets = self._ledger.count(f"penstock.{table}") // BUCKET_ROWS + 1
        found: list[str] = []
        for bucket in range(buckets):
            mine = f"cityHash64({name}) % {buckets} = {bucket}"
            found += (
                text(group)
                for (group,) in self._ledger.query(
                    f"SELECT DISTINCT {name} FROM penstock.{table} WHERE {mine} AND {name} NOT IN (SELECT {name} FROM "
                    f"penstock.events_log WHERE topic IN ({_topics(table)}) AND {mine}) LIMIT {FAULTS_KEPT + 1}"
                )
            )
            if len(found) > FAULTS_KEPT:
                break
        return found


def _group(table: str) -> str:
    """By what the rows of one record, or of one exchange, are found."""
    return "event_id" if table == "audit" else "exchange_id"


def _topics(table: str) -> str:
    return ", ".join(literal(topic.encode()) for topic in TOPICS_OF[table])
