"""Events that cannot be read, and offsets that are missing: put where an operator finds them.

Edge: publishes to `penstock.dead-letter.v1` (original bytes, with where they stood and why they are there) and to
`penstock.audit.v1`. Every publish is acknowledged by all in-sync replicas before the call returns.
"""

from collections.abc import Iterable
from typing import Any, Final

import faust
import structlog

from penstock.schemas import audit, topics
from penstock.schemas.records import Record, write_record

from .rows import Hole
from .source import GIVEN_UP, Item

HEADER_PREFIX: Final = "penstock-dead-"
MAX_BYTES: Final = topics.MAX_MESSAGE_BYTES - 65_536
"""Room is left for headers; a longer event, which no tap writes, is cut, and `penstock-dead-bytes` tells its length."""

_log = structlog.get_logger("penstock.streams.deadletter")


class DeadLetters:
    """The publisher of one worker. `actor` is `record:<instance>`."""

    def __init__(self, app: faust.App, actor: str) -> None:
        self._letters = app.topic(topics.DEAD_LETTER, value_type=bytes, value_serializer="raw", key_serializer="raw")
        self._audit = app.topic(topics.AUDIT, value_type=bytes, value_serializer="raw", key_serializer="raw")
        self._actor = actor

    async def publish(self, items: Iterable[Item]) -> None:
        """Puts each dead item of `items` on the dead-letter topic, and says so on the audit topic."""
        for item in items:
            if not item.why_dead:
                continue
            value = item.body[:MAX_BYTES]
            await _acknowledged(self._letters, item.source.key, value, dead_headers(item))
            await self._say(dead_act(item, self._actor))
            _log.warning("dead letter", address=item.address, reason=item.why_dead)

    async def report(self, holes: Iterable[Hole], at_us: int) -> None:
        """Names offsets that Kafka did not give as a gap."""
        for hole in holes:
            await self._say(hole_act(hole, self._actor, at_us))
            _log.error("records are missing", topic=hole.topic, partition=hole.partition, first=hole.first)

    async def _say(self, record: Record) -> None:
        await _acknowledged(self._audit, record.subject.encode(), record.value, record.headers())


def dead_headers(item: Item) -> list[tuple[str, bytes]]:
    """The source's own headers, then where the event stood and why it is dead."""
    source = item.source
    facts = {
        "topic": source.topic,
        "partition": source.partition,
        "offset": source.offset,
        "index": item.index,
        "reason": item.why_dead,
        "bytes": len(item.body),
        "appended-at-ms": source.appended_at_ms,
    }
    return [*source.headers, *((HEADER_PREFIX + name, str(value).encode()) for name, value in facts.items())]


def dead_act(item: Item, actor: str) -> Record:
    """The audit record of a dead letter; its id is the same after a repeat. A record that was given up unread is a gap:
    nobody knows how many events it held."""
    act = audit.AuditEvent(
        act="gap" if item.why_dead == GIVEN_UP else "dead_letter",
        subject=f"offset:{item.address}",
        actor=actor,
        reason=item.why_dead,
        at_us=item.source.appended_at_ms * 1000,
        details={"bytes": len(item.body)},
    )
    return _audit_record(act, f"{item.event_id}/audit")


def hole_act(hole: Hole, actor: str, at_us: int) -> Record:
    """The audit record of missing offsets; its id is the same after a repeat."""
    act = audit.AuditEvent(
        act="gap",
        subject=f"offset:{hole.topic}/{hole.partition}/{hole.first}",
        actor=actor,
        reason="Kafka did not give these offsets",
        at_us=at_us,
        details={"topic": hole.topic, "partition": hole.partition, "first": hole.first, "last": hole.last},
    )
    return _audit_record(act, f"gap/{hole.topic}/{hole.partition}/{hole.first}-{hole.last}")


def _audit_record(act: audit.AuditEvent, event_id: str) -> Record:
    source = "/" + act.actor.replace(":", "/")
    return write_record(act, id=event_id, type=audit.TYPE, source=source, subject=act.subject, time_us=act.at_us)


async def _acknowledged(topic: Any, key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]) -> None:
    await (await topic.send(key=key, value=value, headers=headers))
