"""Pure: offsets that Kafka deleted before a worker group had read them, and the act that accepts the loss."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from penstock.schemas import audit
from penstock.schemas.audit import AuditEvent
from penstock.schemas.records import Record, write_record

Place = tuple[str, int]
"""Topic and partition."""
NAMES_ROWS: Final = "penstock-record"
"""The group whose losses are missing from the trail; what another group did not read may well be in it."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Offsets `first_offset` to `last_offset`, which `group` had yet to read and Kafka no longer has."""

    group: str
    topic: str
    partition: int
    first_offset: int
    last_offset: int

    @property
    def count(self) -> int:
        return self.last_offset - self.first_offset + 1

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}: {self.count:,} records, offsets {self.first_offset}–{self.last_offset}"


def lost_offsets(group: str, committed: Mapping[Place, int], starts: Mapping[Place, int]) -> list[Lost]:
    """What lies between each committed offset and the start of its log, by topic and partition. A partition without a
    committed offset (absent, or negative) is read from its start, so nothing of it is lost."""
    return [
        Lost(group, topic, partition, committed[topic, partition], start - 1)
        for (topic, partition), start in sorted(starts.items())
        if 0 <= committed.get((topic, partition), -1) < start
    ]


def acceptance(lost: Lost, actor: str, reason: str, at_us: int) -> Record:
    """The audit record of an accepted loss; its id is the same after a repeat."""
    act = AuditEvent(
        act="gap_accepted",
        subject=f"partition:{lost.topic}/{lost.partition}",
        actor=actor,
        reason=reason,
        at_us=at_us,
        details={
            "group": lost.group,
            "topic": lost.topic,
            "partition": lost.partition,
            "first_offset": lost.first_offset,
            "last_offset": lost.last_offset,
        },
    )
    place = f"{lost.group}/{lost.topic}/{lost.partition}/{lost.first_offset}-{lost.last_offset}"
    source = "/" + actor.replace(":", "/")
    return write_record(
        act, id=f"gap_accepted/{place}", type=audit.TYPE, source=source, subject=act.subject, time_us=at_us
    )


def offsets_named(act: str, details: Mapping[str, Any]) -> tuple[Place, tuple[int, int]] | None:
    """The offsets that an act says the trail lacks, or None where it names none.

    `gap` is said by record itself (`first`, `last`); `gap_accepted` by a person, and counts where record is the group
    that lost them.
    """
    ends = ("first", "last")
    if act == "gap_accepted":
        if details.get("group") != NAMES_ROWS:
            return None
        ends = ("first_offset", "last_offset")
    topic, partition, first, last = (details.get(name) for name in ("topic", "partition", *ends))
    if isinstance(topic, str) and isinstance(partition, int) and isinstance(first, int) and isinstance(last, int):
        return (topic, partition), (first, last)
    return None
