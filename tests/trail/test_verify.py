"""A real store, altered in every way that we can think of: each is named by its place."""

import json
import shutil
from pathlib import Path

import pytest

from penstock.schemas.errors import UsageError
from penstock.trail.checkpoint import join_notes
from penstock.trail.checkpoint_file import read_notes
from penstock.trail.leaf import row_hash
from penstock.trail.ledger import Ledger
from penstock.trail.seal_state import checkpoints_path

from .deployment import TRAFFIC, Deployment, at, replaced

pytestmark = pytest.mark.services


async def test_a_whole_trail_has_no_fault_and_every_row_is_counted(sealed: Deployment) -> None:
    report = await sealed.verify()
    assert report.ok, report.faults
    assert (report.leaves, report.protected, report.rows, report.unprotected) == (36, 36, 36, 0)
    assert (report.accepted, report.stored, report.content_expected, report.content_present) == (36, 36, 36, 36)
    assert (report.exchanges, report.exchanges_open) == (4, 0)
    assert report.checkpoints == 4, "two in the file, two on the topic"
    assert report.notes == []
    assert report.partitions["penstock.traffic.v1/1"] == {
        "rows": 15,
        "stored": 15,
        "dead_lettered": 0,
        "duplicates": 0,
        "unprotected": 0,
        "first_offset": 0,
        "last_offset": 4,
    }


async def test_rows_after_the_last_checkpoint_are_unprotected_not_fine(sealed: Deployment) -> None:
    sealed.exchange()
    report = await sealed.verify()
    assert (report.ok, report.protected, report.unprotected) == (True, 36, 10)


async def test_a_trail_without_checkpoints_is_not_fine(deployment: Deployment) -> None:
    deployment.exchange()
    await deployment.seal()
    checkpoints_path(deployment.settings).unlink()
    keys = (deployment.settings.state / "trail.pub").read_text()
    again = Deployment(
        deployment.config,
        deployment.settings.model_copy(
            update={"trail": deployment.settings.trail.model_copy(update={"origin": "nobody/signed"})}
        ),
    )
    report = await again.verify(key=keys.strip())
    assert [fault.kind for fault in report.faults] == ["checkpoint"]
    assert report.unprotected == 10


@pytest.mark.parametrize(
    "changes",
    [
        "char(bitXor(reinterpretAsUInt8(substring(commitment, 1, 1)), 1)) || substring(commitment, 2) AS commitment",
        "'x' || substring(exchange_id, 2) AS exchange_id",
        "addMicroseconds(occurred_at, 1) AS occurred_at",
        "toUInt64(frame_number + 1) AS frame_number",
    ],
)
async def test_a_flipped_byte_in_a_row(sealed: Deployment, changes: str) -> None:
    name = changes.rsplit(" ", 1)[1]
    value = changes.removesuffix(f" AS {name}")
    kind = {"commitment": f"CAST({value} AS FixedString(32))"}.get(name, value)
    sealed.alter(replaced("events_log", at(1, 2), f"{kind} AS {name}"))
    faults = await sealed.faults()
    assert ("row_altered", f"leaf 6 ({TRAFFIC}/0/1/2)") in faults
    assert not [kind for kind, _ in faults if kind in ("root", "leaf_altered", "truncated")]


async def test_a_flipped_byte_in_content(sealed: Deployment) -> None:
    sealed.alter(replaced("content", at(1, 2), "replaceOne(body, 'word', 'ward') AS body"))
    assert await sealed.faults() == [("content_altered", f"{TRAFFIC}/0/1/2")]


async def test_a_flipped_mark_in_content(sealed: Deployment) -> None:
    sealed.alter(replaced("content", at(1, 2), "NOT withheld AS withheld"))
    assert await sealed.faults() == [("content_altered", f"{TRAFFIC}/0/1/2")]


async def test_a_deleted_row(sealed: Deployment) -> None:
    sealed.alter(f"ALTER TABLE penstock.events_log DELETE WHERE {at(1, 1)} SETTINGS mutations_sync = 2")
    faults = await sealed.faults()
    assert faults[0] == ("row_missing", f"leaf 5 ({TRAFFIC}/0/1/1)")
    assert ("chain", f"{TRAFFIC}/0/1/2") in faults
    assert ("indexes", f"{TRAFFIC}/0/1/2") in faults


async def test_a_deleted_frame(sealed: Deployment) -> None:
    where = f"topic = '{TRAFFIC}' AND partition = 0 AND offset = 5"
    sealed.alter(f"ALTER TABLE penstock.events_log DELETE WHERE {where} SETTINGS mutations_sync = 2")
    faults = await sealed.faults()
    assert [kind for kind, _ in faults].count("row_missing") == 3
    assert ("offsets", f"{TRAFFIC}/0") in faults
    assert ("frames", f"{TRAFFIC}/0/6/0") in faults


async def test_a_swapped_pair_of_rows(sealed: Deployment) -> None:
    first, second = (
        sealed.ask(f"SELECT hex(commitment) FROM penstock.events_log WHERE {at(1, i)}")[0][0] for i in (0, 1)
    )
    sealed.alter(
        replaced("events_log", at(1, 0), f"CAST(unhex('{second}') AS FixedString(32)) AS commitment"),
        replaced("events_log", at(1, 1), f"CAST(unhex('{first}') AS FixedString(32)) AS commitment"),
    )
    faults = await sealed.faults()
    assert faults[:2] == [("row_altered", f"leaf 4 ({TRAFFIC}/0/1/0)"), ("row_altered", f"leaf 5 ({TRAFFIC}/0/1/1)")]


async def test_a_swapped_pair_of_leaves(sealed: Deployment) -> None:
    sealed.alter(
        "INSERT INTO penstock.leaves SELECT * REPLACE (toUInt64(41 - leaf_index) AS leaf_index, sealer + 1 AS sealer) "
        "FROM penstock.leaves WHERE leaf_index IN (20, 21)"
    )
    assert await sealed.faults() == [("leaf_order", f"leaf 21 ({TRAFFIC}/0/5/1)"), ("root", "leaves 16–35")]


async def test_a_truncated_tail(sealed: Deployment) -> None:
    sealed.alter(
        f"ALTER TABLE penstock.events_log DELETE WHERE topic = '{TRAFFIC}' AND partition = 1 AND offset >= 3 "
        "SETTINGS mutations_sync = 2",
        "ALTER TABLE penstock.leaves DELETE WHERE leaf_index >= 32 SETTINGS mutations_sync = 2",
    )
    report = await sealed.verify()
    assert "checkpoint says 36 leaves, the store holds 32: leaves 32–35 are missing" in str(report.faults[0])


async def test_a_truncated_tail_with_its_checkpoints_is_found_by_a_copy_held_outside(
    sealed: Deployment, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.txt"
    shutil.copy(checkpoints_path(sealed.settings), mine)
    sealed.alter(
        "TRUNCATE TABLE penstock.events_log", "TRUNCATE TABLE penstock.leaves", "TRUNCATE TABLE penstock.content"
    )
    checkpoints_path(sealed.settings).unlink()
    report = await sealed.verify(mine)
    assert [fault.where for fault in report.faults] == ["leaf 0", "audit act/0"]
    with pytest.raises(UsageError, match="not there"):
        await sealed.verify(tmp_path / "nothing.txt")


async def test_a_row_rewritten_together_with_its_leaf_is_bracketed(sealed: Deployment) -> None:
    sealed.alter(replaced("events_log", at(5, 1), "'tap-9' AS tap_id"))
    ledger = Ledger(sealed.settings, "reader")
    (row,) = ledger.rows(at(5, 1))
    ledger.close()
    sealed.alter(
        f"INSERT INTO penstock.leaves SELECT * REPLACE (CAST(unhex('{row_hash(row).hex()}') AS FixedString(32)) AS "
        f"leaf_hash, sealer + 1 AS sealer) FROM penstock.leaves WHERE {at(5, 1)}"
    )
    faults = await sealed.faults()
    assert faults[0] == ("root", "leaves 16–35")
    assert not [kind for kind, _ in faults if kind in ("row_altered", "leaf_altered")]


async def test_a_leaf_altered_alone_is_told_from_an_altered_row(sealed: Deployment) -> None:
    sealed.alter(
        "INSERT INTO penstock.leaves SELECT * REPLACE (toFixedString('x', 32) AS leaf_hash, sealer + 1 AS sealer) "
        "FROM penstock.leaves WHERE leaf_index = 20"
    )
    assert [kind for kind, _ in await sealed.faults()] == ["row_altered", "leaf_altered"]


async def test_a_row_added_later_among_sealed_ones(sealed: Deployment) -> None:
    sealed.alter(replaced("events_log", at(1, 2), "toUInt32(3) AS frame_index"))
    assert ("row_unsealed", f"{TRAFFIC}/0/1/3") in await sealed.faults()


async def test_content_that_was_deleted_without_an_act(sealed: Deployment) -> None:
    sealed.alter(f"ALTER TABLE penstock.content DELETE WHERE {at(1, 1)} SETTINGS mutations_sync = 2")
    report = await sealed.verify()
    assert [(fault.kind, fault.where) for fault in report.faults] == [("content_missing", f"{TRAFFIC}/0/1/1")]
    assert (report.content_expected, report.content_present, report.content_missing) == (36, 35, 1)


async def test_content_that_an_act_says_was_erased_keeps_its_proof(sealed: Deployment) -> None:
    (exchange,) = sealed.ask(f"SELECT exchange_id FROM penstock.events_log WHERE {at(1, 1)}")[0]
    sealed.alter(
        f"ALTER TABLE penstock.content DELETE WHERE exchange_id = '{exchange}' AND seq < 5 SETTINGS mutations_sync = 2",
        f"ALTER TABLE penstock.content UPDATE body = '', salt = '' WHERE exchange_id = '{exchange}' "
        "SETTINGS mutations_sync = 2",
    )
    assert len(await sealed.faults()) == 10
    sealed.record(sealed.act(act="erased", exchange_id=exchange))
    await sealed.seal()
    report = await sealed.verify()
    assert report.ok, report.faults
    assert (report.content_expected, report.content_present, report.content_erased) == (37, 27, 10)


async def test_an_act_in_the_table_alone_excuses_nothing(sealed: Deployment) -> None:
    (exchange,) = sealed.ask(f"SELECT exchange_id FROM penstock.events_log WHERE {at(1, 1)}")[0]
    sealed.alter(
        f"ALTER TABLE penstock.content DELETE WHERE {at(1, 1)} SETTINGS mutations_sync = 2",
        f"INSERT INTO penstock.audit (event_id, act, exchange_id) VALUES ('x', 'erased', '{exchange}')",
    )
    assert [kind for kind, _ in await sealed.faults()] == ["content_missing", "copy"]


async def test_a_forged_checkpoint_is_named_by_its_entry(sealed: Deployment) -> None:
    path = checkpoints_path(sealed.settings)
    first, second = read_notes(path)
    path.write_text(join_notes([first.replace("\n16\n", "\n12\n"), second]))
    report = await sealed.verify()
    assert [(fault.kind, fault.where) for fault in report.faults] == [("checkpoint", "checkpoints.txt entry 1")]
    assert "is wrong" in report.faults[0].message


async def test_the_command_exits_1_and_prints_json(sealed: Deployment) -> None:
    fine = sealed.penstock("verify")
    assert fine.returncode == 0, fine.stderr
    assert b"the trail is whole" in fine.stdout
    sealed.alter(f"ALTER TABLE penstock.events_log DELETE WHERE {at(1, 1)} SETTINGS mutations_sync = 2")
    altered = sealed.penstock("verify", "--json")
    assert altered.returncode == 1
    found = json.loads(altered.stdout)
    assert (found["ok"], found["faults"][0]["kind"]) == (False, "row_missing")
    assert b"FAULT leaf 5" in sealed.penstock("verify").stdout
