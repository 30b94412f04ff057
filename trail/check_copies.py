"""The rows that records add beside their leaf, held against the records that they were made of. Pure.

A copy is found by its key. Where several records of one exchange give rows of one key, the store keeps the row of the
last of them, so a row may be that of the last record in the trail or of one on its way there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, Final

from penstock.schemas.errors import EventError
from penstock.schemas.facts import MODELS, Facts, facts_of
from penstock.schemas.records import read_value

from .check_content import Content
from .leaf import text

KEYS: Final = {
    "exchange_facts": ("exchange_id",),
    "attribution": ("exchange_id",),
    "kills": ("exchange_id", "scope"),
    "audit": ("event_id",),
    "violations": ("exchange_id", "violation_id"),
    "coverage": ("exchange_id", "detector", "segment"),
}
"""By what a row of each table is found."""
_COST_UNIT: Final = 10**12
_COST_DIGITS: Final = 38

Key = tuple[str, ...]
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """A row as a record gives it. `recorded`: the record has its row in events_log; else it is on
    its way there."""

    table: str
    values: Values
    where: str
    recorded: bool

    @property
    def key(self) -> Key:
        return key_of(self.table, self.values)


def made_of(content: Content, *, recorded: bool) -> list[Made]:
    """The rows that the record with this content gives. What is no record of its topic gives none."""
    try:
        facts: Facts = facts_of(read_value(MODELS[text(content.topic)], content.body), text(content.event_id))
    except (EventError, KeyError):
        return []
    return [Made(table, values, str(content.position), recorded) for table, values in facts]


def key_of(table: str, values: Values) -> Key:
    """The key of a row, as made or as stored."""
    return tuple(_plain(values[name]) for name in KEYS[table])


def contradictions(table: str, made: Sequence[Made], stored: Iterable[Values]) -> list[tuple[str, str]]:
    """Where rows of `table` are not those that `made` gives, all in the order of their records: where the record
    stands (or the key of a row that none made), and what is wrong. `stored` are all the rows of the same exchanges."""
    wanted: dict[Key, list[Made]] = {}
    for row in made:
        wanted.setdefault(row.key, []).append(row)
    found: dict[Key, list[Values]] = {}
    for values in stored:
        found.setdefault(key_of(table, values), []).append(values)
    wrong = []
    for key, rows in wanted.items():
        if what := _contradiction(table, rows, found.pop(key, [])):
            wrong.append((rows[-1].where, what))
    wrong += [(f"{table} {'/'.join(key)}", "no record in the trail made this row: it was added") for key in found]
    return wrong


def _contradiction(table: str, made: list[Made], stored: list[Values]) -> str:
    recorded = [row for row in made if row.recorded]
    if not stored:
        return f"its row is missing from {table}" if recorded else ""
    if len(stored) > 1:
        return f"{table} has {len(stored)} rows of it: one was added or altered"
    standing = [*recorded[-1:], *(row for row in made if not row.recorded)]
    wrong = [different(row.values, stored[0]) for row in standing]
    return "" if "" in wrong else f"its row in {table} was altered: {wrong[0]} is not what the record says"


def different(made: Values, stored: Values) -> str:
    """The name of the first column that is not as the record gives it; empty where all are."""
    for name, value in made.items():
        if name not in stored or _plain(stored[name]) != _plain(value):
            return name
    return ""


def _plain(value: Any) -> Any:
    """A value as both sides have it: text decoded, money in whole units of the column's last digit."""
    if isinstance(value, bytes):
        return text(value)
    if isinstance(value, Decimal):
        with localcontext() as context:
            context.prec = _COST_DIGITS
            return int(value * _COST_UNIT)
    if isinstance(value, list | tuple):
        return tuple(_plain(part) for part in value)
    return value
