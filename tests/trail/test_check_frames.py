"""Frames of a tap and events of an exchange are dense, unless a gap says otherwise."""

from collections.abc import Sequence

from penstock.schemas.audit import AuditEvent, Gap
from penstock.trail.acts import Acts
from penstock.trail.check_frames import FrameCheck
from penstock.trail.check_rows import OffsetHole
from penstock.trail.leaf import Row
from penstock.trail.report import Report

from .rows import EPOCH, TOPIC, rows_of

ROWS = rows_of(6)


def act(**fields: object) -> bytes:
    return (
        AuditEvent.model_validate({"subject": "", "actor": "tap:t1", "at_us": 1, **fields}).model_dump_json().encode()
    )


def gap(first: int, last: int, exchanges: Sequence[str] = ()) -> bytes:
    found = Gap(
        tap="t1",
        epoch=EPOCH,
        partition=0,
        events=2,
        first_frame=first,
        last_frame=last,
        exchanges=list(exchanges),
        cause="memory",
    )
    return act(act="gap", details=found.model_dump())


def checked(rows: Sequence[Row], acts: Acts | None = None, hole: tuple[int, OffsetHole] | None = None) -> list[str]:
    report = Report("log")
    check = FrameCheck(report)
    for row in rows:
        check.feed(row, hole[1] if hole and row.offset == hole[0] and row.frame_index == 0 else None)
    check.finish(0, acts or Acts(), TOPIC.decode())
    return [fault.kind for fault in report.faults]


def fed(*bodies: bytes) -> Acts:
    acts = Acts()
    for body in bodies:
        acts.feed(body)
    return acts


def without_frame(number: int) -> list[Row]:
    """The rows as if the tap had dropped a frame: Kafka's offsets stay dense."""
    kept = [row for row in ROWS if row.frame_number != number]
    return [row._replace(offset=row.offset - (row.frame_number > number)) for row in kept]


def test_dense_frames_and_events_have_no_fault() -> None:
    assert checked(ROWS) == []


def test_a_dropped_frame_is_a_fault_until_a_gap_names_it() -> None:
    assert checked(without_frame(3)) == ["frames", "events"]
    assert checked(without_frame(3), fed(gap(3, 3))) == []
    assert checked(without_frame(3), fed(gap(2, 2))) == ["frames", "events"], "another gap explains nothing here"
    assert checked(without_frame(3), fed(gap(1, 1, ["x1"]), gap(3, 5))) == []


def test_a_gap_explains_only_what_is_missing_beside_it() -> None:
    """The tap dropped frame 1; event 8 was lost much later, and nothing says why."""
    kept = [row for row in without_frame(1) if row.seq != 8]
    assert checked(kept, fed(gap(1, 1))) == ["events"]


def test_a_dead_letter_explains_only_what_is_missing_beside_it() -> None:
    def dead(seq: int) -> list[Row]:
        return [row._replace(kind=b"dead_letter", exchange_id=b"", seq=0) if row.seq == seq else row for row in ROWS]

    assert checked(dead(5)) == []
    assert checked([row for row in dead(5) if row.seq != 9]) == ["events"]
    assert checked([row for row in dead(9) if row.seq != 5]) == ["events"]


def test_frames_from_the_middle_on_are_a_fault_only_where_the_trail_began_with_the_topic() -> None:
    assert checked(without_frame(0)) == ["frames", "events"]
    began_late = [row._replace(offset=row.offset + 100) for row in ROWS[4:]]
    assert checked(began_late) == []


def test_a_frame_that_comes_late_fills_its_hole() -> None:
    late = [*without_frame(3), *(row._replace(offset=5, duplicate_of=b"") for row in ROWS[6:8])]
    assert "frames" not in checked(late)


def test_a_frame_that_comes_twice_is_a_fault_unless_its_rows_say_so() -> None:
    again = [row._replace(offset=6) for row in ROWS[2:4]]
    assert "frames" in checked([*ROWS, *again])
    assert checked([*ROWS, *(row._replace(duplicate_of=b"x") for row in again)]) == []


def test_records_that_kafka_lost_explain_the_frames_in_them() -> None:
    kept = [row for row in ROWS if row.offset != 3]
    lost = act(act="gap", details={"topic": TOPIC.decode(), "partition": 0, "first": 3, "last": 3})
    assert checked(kept, fed(lost), (4, OffsetHole(3, 3))) == []
    assert checked(kept, Acts(), (4, OffsetHole(3, 3))) == ["frames", "events"]


def test_a_hole_explains_the_frames_of_every_tap_that_comes_after_it() -> None:
    other = [row._replace(offset=row.offset + 1, tap_id=b"t2", exchange_id=b"x2") for row in ROWS]
    both = sorted(
        (row._replace(offset=2 * row.offset - (row.tap_id == b"t2")) for row in [*ROWS, *other]),
        key=lambda row: (row.offset, row.frame_index),
    )
    kept = [row for row in both if row.offset not in (2, 3)]
    lost = act(act="gap", details={"topic": TOPIC.decode(), "partition": 0, "first": 2, "last": 3})
    assert checked(kept, fed(lost), (4, OffsetHole(2, 3))) == []
    assert checked(kept, Acts(), (4, OffsetHole(2, 3))) == ["frames", "frames", "events", "events"]


def test_an_accepted_loss_explains_what_record_has_not_read_and_no_more() -> None:
    kept = [row for row in ROWS if row.offset != 3]
    named = {"topic": TOPIC.decode(), "partition": 0, "first_offset": 1, "last_offset": 3}
    record, meter = ({**named, "group": f"penstock-{name}"} for name in ("record", "meter"))
    assert checked(kept, fed(act(act="gap_accepted", details=record)), (4, OffsetHole(3, 3))) == []
    assert "frames" in checked(kept, fed(act(act="gap_accepted", details=meter)), (4, OffsetHole(3, 3)))


def test_acts_that_cannot_be_read_name_nothing() -> None:
    acts = fed(b"", b"{}", act(act="gap", details={"topic": "x", "first": "no"}), act(act="gap", details={"tap": 1}))
    assert (acts.frames, acts.offsets, acts.gaps) == ({}, {}, 0)


def test_erasures_name_exchanges_in_three_ways() -> None:
    acts = fed(
        act(act="erased", exchange_id="a"),
        act(act="erased", subject="exchange:b"),
        act(act="erased", details={"exchanges": ["c", "d"]}),
        act(act="erased", subject="exchange:", details={"exchanges": ["", None, 7]}),
        act(act="hold", exchange_id="e"),
    )
    assert set(acts.erased) == {"a", "b", "c", "d"}
