"""A dead letter says where it stood and why, and its audit record is the same after a repeat."""

from penstock.schemas import audit, topics
from penstock.schemas.records import read_value
from penstock.streams.deadletter import dead_act, dead_headers, hole_act
from penstock.streams.decode import dead
from penstock.streams.rows import Hole
from penstock.streams.source import GIVEN_UP, Source

SOURCE = Source(topics.TRAFFIC, 2, 17, b"key", b"bytes", (("penstock-tap", b"t1"),), 1_795_500_000_123)


def test_headers_keep_the_source_and_say_where_and_why() -> None:
    told = dict(dead_headers(dead(SOURCE, 3, b"raw", "no time")))
    assert told == {
        "penstock-tap": b"t1",
        "penstock-dead-topic": topics.TRAFFIC.encode(),
        "penstock-dead-partition": b"2",
        "penstock-dead-offset": b"17",
        "penstock-dead-index": b"3",
        "penstock-dead-reason": b"no time",
        "penstock-dead-bytes": b"3",
        "penstock-dead-appended-at-ms": b"1795500000123",
    }


def test_the_act_of_a_dead_letter() -> None:
    item = dead(SOURCE, 3, b"raw", "no time")
    record = dead_act(item, "record:0")
    assert record.id == f"dead/{topics.TRAFFIC}/2/17/3/audit" == dead_act(item, "record:1").id
    act = read_value(audit.AuditEvent, record.value)
    assert (act.act, act.reason, act.details) == ("dead_letter", "no time", {"bytes": 3})
    assert b"raw" not in record.value


def test_a_record_given_up_unread_is_a_gap() -> None:
    act = read_value(audit.AuditEvent, dead_act(dead(SOURCE, 0, b"bytes", GIVEN_UP), "record:0").value)
    assert (act.act, act.subject) == ("gap", f"offset:{topics.TRAFFIC}/2/17/0")


def test_missing_offsets_are_a_gap() -> None:
    record = hole_act(Hole(topics.AUDIT, 1, 5, 9), "record:0", 7)
    assert record.id == f"gap/{topics.AUDIT}/1/5-9"
    act = read_value(audit.AuditEvent, record.value)
    assert act.details == {"topic": topics.AUDIT, "partition": 1, "first": 5, "last": 9}
