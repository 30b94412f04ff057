"""Which offsets are lost, and what the act that accepts a loss names."""

from penstock.schemas.audit import AuditEvent
from penstock.schemas.records import read_value
from penstock.trail.lost import Lost, acceptance, lost_offsets, offsets_named

LOST = Lost("penstock-record", "t", 2, 5, 8)


def test_what_lies_between_the_mark_and_the_start_is_lost() -> None:
    committed = {("t", 0): 5, ("t", 1): 9, ("t", 2): 5, ("t", 3): -1, ("gone", 0): 1}
    starts = {("t", 2): 9, ("t", 0): 5, ("t", 1): 6, ("t", 3): 7, ("t", 4): 7}
    assert lost_offsets("penstock-record", committed, starts) == [LOST]
    assert (LOST.count, str(LOST)) == (4, "t/2: 4 records, offsets 5–8")


def test_an_acceptance_names_the_same_offsets_and_keeps_its_id() -> None:
    record = acceptance(LOST, "cli:ann", "retention was too short", 7)
    act = read_value(AuditEvent, record.value)
    assert (act.act, act.subject, act.actor, act.reason) == (
        "gap_accepted",
        "partition:t/2",
        "cli:ann",
        "retention was too short",
    )
    assert act.details == {
        "group": "penstock-record",
        "topic": "t",
        "partition": 2,
        "first_offset": 5,
        "last_offset": 8,
    }
    assert acceptance(LOST, "cli:bob", "again", 8).id == record.id
    assert offsets_named(act.act, act.details) == (("t", 2), (5, 8))


def test_a_loss_of_another_group_is_none_of_the_trail() -> None:
    lost = Lost("penstock-meter", "t", 2, 5, 8)
    act = read_value(AuditEvent, acceptance(lost, "cli:ann", "r", 7).value)
    assert offsets_named(act.act, act.details) is None


def test_a_gap_names_offsets_only_where_all_members_are_right() -> None:
    right = {"topic": "t", "partition": 0, "first": 3, "last": 4}
    assert offsets_named("gap", right) == (("t", 0), (3, 4))
    for name in right:
        assert offsets_named("gap", {key: value for key, value in right.items() if key != name}) is None
        assert offsets_named("gap", {**right, name: None}) is None
