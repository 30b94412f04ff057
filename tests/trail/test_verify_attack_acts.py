"""Acts that excuse what is missing: who may write the store may try to write one, or to make one say more."""

import json

import pytest

from penstock.streams.source import Source
from penstock.trail.ledger import Ledger
from penstock.trail.report import Report
from penstock.trail.verify_dead import check_dead, unexplained

from .deployment import TRAFFIC, Deployment, at, replaced

pytestmark = pytest.mark.services
AUDIT = "penstock.audit.v1"
DELETED = "SETTINGS mutations_sync = 2"


async def exchange_at(deployment: Deployment, place: tuple[int, int]) -> str:
    return str(deployment.ask(f"SELECT exchange_id FROM penstock.events_log WHERE {at(*place)}")[0][0])


async def test_an_act_whose_content_was_turned_into_an_erasure(sealed: Deployment) -> None:
    exchange = await exchange_at(sealed, (1, 1))
    sealed.alter(
        f"ALTER TABLE penstock.content DELETE WHERE {at(1, 1)} {DELETED}",
        f"ALTER TABLE penstock.content UPDATE body = replaceOne(replaceOne(body, 'policy_changed', 'erased'), "
        f'\'"exchange_id":""\', \'"exchange_id":"{exchange}"\') WHERE topic = \'{AUDIT}\' {DELETED}',
    )
    assert await sealed.faults() == [("content_altered", f"{AUDIT}/0/0/0"), ("content_missing", f"{TRAFFIC}/0/1/1")]


async def test_a_forged_act_at_the_end_is_named_and_that_nothing_covers_it_is_said(sealed: Deployment) -> None:
    """Nobody can tell it from record's own until Kafka is asked: so verify says by which act content is gone."""
    exchange = await exchange_at(sealed, (1, 1))
    sealed.alter(f"ALTER TABLE penstock.content DELETE WHERE {at(1, 1)} {DELETED}")
    sealed.record(sealed.act(act="erased", exchange_id=exchange))
    report = await sealed.verify()
    said = f"the content of 1 events is gone by the act of erasure {AUDIT}/0/1/0"
    assert (report.ok, report.notes) == (True, [f"{said}, which no checkpoint covers yet"])
    await sealed.seal()
    assert (await sealed.verify()).notes == [said]


async def test_an_erasure_of_nothing_does_not_excuse_all_that_belongs_to_no_exchange(sealed: Deployment) -> None:
    sealed.record(sealed.act(act="erased", subject="exchange:", details={"exchanges": [""]}))
    sealed.alter(f"ALTER TABLE penstock.content DELETE WHERE topic = '{AUDIT}' AND offset = 0 {DELETED}")
    await sealed.seal()
    assert await sealed.faults() == [("content_missing", f"{AUDIT}/0/0/0")]


async def test_a_gap_excuses_no_row_that_was_sealed(sealed: Deployment) -> None:
    named = {"topic": TRAFFIC, "partition": 0, "first": 0, "last": 2**62}
    sealed.record(sealed.act(act="gap", details=named))
    sealed.alter(f"ALTER TABLE penstock.events_log DELETE WHERE topic = '{TRAFFIC}' AND offset = 5 {DELETED}")
    await sealed.seal()
    report = await sealed.verify()
    assert {"row_missing", "chain"} <= {fault.kind for fault in report.faults}
    assert f"a gap names offsets 0–{2**62} of {TRAFFIC}/0, though some of them have rows" in report.notes


async def test_a_gap_that_names_what_is_missing_is_no_note(deployment: Deployment) -> None:
    deployment.exchange()
    deployment.offsets[TRAFFIC, 0] += 2
    named = {"topic": TRAFFIC, "partition": 0, "first": 4, "last": 5}
    deployment.record(deployment.act(act="gap", details=named))
    deployment.exchange()
    await deployment.seal()
    report = await deployment.verify()
    assert report.notes == []
    assert report.ok, report.faults


async def test_a_dead_letter_without_an_act(deployment: Deployment) -> None:
    frame = deployment.frame([])
    deployment.record(Source(TRAFFIC, 1, 0, None, b"no frame", frame.headers, frame.appended_at_ms))
    ledger = Ledger(deployment.settings, "reader")
    found = unexplained(ledger)
    assert found == [f"dead/{TRAFFIC}/1/0/0".encode()]
    report, behind, away = (Report("log", lag=lag) for lag in ({}, {f"{AUDIT}/0": 1}, {}))
    check_dead(ledger, found, {}, report)
    assert [(fault.kind, fault.where) for fault in report.faults] == [("dead_letter", f"{TRAFFIC}/1/0/0")]
    check_dead(ledger, found, {}, behind)
    check_dead(ledger, found, None, away)
    assert (behind.ok, behind.notes) == (away.ok, away.notes) == (True, ["1 dead letters have no act in the trail yet"])
    deployment.record(deployment.act(act="dead_letter", event_id=f"dead/{TRAFFIC}/1/0/0/audit"))
    assert unexplained(ledger) == []
    late = Report("log")
    check_dead(ledger, found, {}, late)
    assert late.ok, "it came while verify was at work"
    ledger.close()


async def test_names_that_steer_a_terminal_are_escaped(sealed: Deployment) -> None:
    sealed.alter(
        "INSERT INTO penstock.audit (event_id, act) VALUES ('x\x1b[2K\rthe trail is whole', 'gap')",
        replaced("content", at(1, 1), "'x\x1b[1A' AS exchange_id"),
    )
    shown = sealed.penstock("verify")
    assert shown.returncode == 1
    assert b"\x1b" not in shown.stdout + shown.stderr
    assert b"\r" not in shown.stdout + shown.stderr


async def test_the_json_keeps_its_shape(sealed: Deployment) -> None:
    found = json.loads(sealed.penstock("verify", "--json").stdout)
    assert set(found) >= {"ok", "accepted", "origin", "keys", "leaves", "protected", "unprotected", "checkpoints"}
    assert set(found) >= {"stored", "dead_lettered", "duplicates", "gap_events", "gaps", "copies", "exchanges", "lag"}
    assert set(found) >= {"faults", "fault_count", "fault_kinds", "notes", "partitions", "last_checkpoint_s", "rows"}
    assert {name for name in found if name.startswith("content_")} == {
        *("content_expected", "content_present", "content_redacted", "content_erased", "content_missing")
    }
    assert (found["ok"], found["leaves"], len(found["keys"])) == (True, 36, 1)
