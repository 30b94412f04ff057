"""The sealing process: killed at any moment, doubled, cut off from its services, and faced with an altered store."""

import json
import random
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from penstock.schemas.errors import ServiceUnavailable, TrailError, UsageError
from penstock.trail.checkpoint_file import append_note, last_note, read_notes
from penstock.trail.checkpoint_topic import CheckpointWriter, all_published, last_published
from penstock.trail.seal_state import checkpoints_path, keep_tree, only_sealer, read_tree
from penstock.trail.sealer import Sealer

from .deployment import Deployment, until

pytestmark = pytest.mark.services


def run_file(deployment: Deployment) -> dict[str, object]:
    path = deployment.settings.run / "seal.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def in_office(deployment: Deployment, process: "subprocess.Popen[bytes]") -> bool:
    return run_file(deployment).get("pid") == process.pid


def sealed_size(deployment: Deployment) -> int:
    return int(str(run_file(deployment).get("size", -1)))


async def test_what_is_there_is_sealed_and_signed_and_an_idle_log_is_signed_again(deployment: Deployment) -> None:
    deployment.exchange()
    process = deployment.start("seal")
    until(lambda: sealed_size(deployment) == 10, "ten leaves")
    idle = len(list(read_notes(checkpoints_path(deployment.settings))))
    until(lambda: len(list(read_notes(checkpoints_path(deployment.settings)))) >= idle + 2, "idle checkpoints")
    deployment.exchange()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert not (deployment.settings.run / "seal.json").exists()
    assert not (deployment.settings.run / "seal.pid").exists()
    report = await deployment.verify()
    assert report.ok, report.faults
    assert (report.leaves, report.unprotected) == (20, 0), "what was there at the end was sealed and signed"


@pytest.mark.faults
async def test_killed_at_any_moment_it_loses_and_doubles_nothing(deployment: Deployment) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    recorded = 0
    for _ in range(6):
        process = deployment.start("seal")
        for _ in range(chance.randrange(1, 4)):
            deployment.exchange(partition=chance.randrange(2))
            recorded += 10
        until(partial(in_office, deployment, process), "a sealer in office")
        try:
            process.wait(chance.random() * 0.6)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    last = deployment.penstock("seal", "--once")
    assert last.returncode == 0, last.stderr
    report = await deployment.verify()
    assert report.ok, report.faults
    assert (report.leaves, report.rows, report.unprotected) == (recorded, recorded, 0)
    assert deployment.ask("SELECT count(), uniqExact(leaf_hash) FROM penstock.leaves FINAL") == [(recorded, recorded)]


async def test_a_second_sealer_of_the_same_state_folder_is_refused(deployment: Deployment) -> None:
    with only_sealer(deployment.settings):
        refused = deployment.penstock("seal")
    assert refused.returncode == 2
    assert b"a sealer runs already" in refused.stderr


async def test_a_second_sealer_elsewhere_fences_the_first(deployment: Deployment, tmp_path: Path) -> None:
    deployment.exchange()
    first, second = Sealer(deployment.settings), Sealer(deployment.settings)
    await first.open()
    await first.seal()
    await first.sign()
    await second.open()
    deployment.exchange()
    await first.seal()
    with pytest.raises(UsageError, match="took over"):
        await first.sign()
    await second.seal()
    assert (await second.sign()).size == 20
    await first.close()
    await second.close()
    report = await deployment.verify()
    assert report.ok, report.faults


async def test_leaves_that_a_replaced_sealer_writes_late_do_not_stand(deployment: Deployment) -> None:
    deployment.exchange()
    old, new = Sealer(deployment.settings), Sealer(deployment.settings)
    await old.open()
    await new.open()
    await new.seal()
    deployment.exchange(partition=1)
    await old.seal()  # numbers all twenty rows, in another order than `new` will
    await new.seal()
    assert (await new.sign()).size == 20
    await old.close()
    await new.close()
    report = await deployment.verify()
    assert report.ok, report.faults
    again = Sealer(deployment.settings)
    await again.open()
    assert again.size == 20
    await again.close()


async def test_once_asks_the_sealer_that_runs(deployment: Deployment) -> None:
    deployment.start("seal")
    until(lambda: sealed_size(deployment) == 0, "a sealer in office")
    deployment.exchange()
    asked = deployment.penstock("seal", "--once")
    assert asked.returncode == 0, asked.stderr
    assert sealed_size(deployment) == 10


@pytest.mark.parametrize("service", ["kafka", "clickhouse"])
async def test_it_waits_for_a_service_that_is_away_and_stops_when_told(deployment: Deployment, service: str) -> None:
    run = deployment.settings.run
    (run / f"{service}.json").rename(run / "away.json")
    process = deployment.start("seal")
    errors = deployment.settings.state / "stderr"
    until(lambda: errors.exists() and "waiting" in errors.read_text(), "a warning")
    (run / "away.json").rename(run / f"{service}.json")
    until(lambda: sealed_size(deployment) == 0, "a sealer in office")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


async def test_a_contradiction_stops_it_for_good_and_it_says_why(deployment: Deployment) -> None:
    deployment.exchange()
    await deployment.seal()
    deployment.alter("ALTER TABLE penstock.leaves DELETE WHERE leaf_index >= 7 SETTINGS mutations_sync = 2")
    stopped = deployment.penstock("seal")
    assert stopped.returncode == 1
    assert "leaves 7–9 are missing" in stopped.stderr.decode()
    assert run_file(deployment)["state"] == "stopped"
    assert "leaves 7–9 are missing" in str(run_file(deployment)["error"])
    notes = list(read_notes(checkpoints_path(deployment.settings)))
    assert len(notes) == 1, "nothing was signed"


async def test_the_topic_alone_is_enough_to_notice_an_altered_store(deployment: Deployment) -> None:
    deployment.exchange()
    await deployment.seal()
    checkpoints_path(deployment.settings).unlink()
    (deployment.settings.state / "seal-tree.json").unlink()
    deployment.alter(
        "INSERT INTO penstock.leaves SELECT * REPLACE (toFixedString('x', 32) AS leaf_hash, sealer + 1 AS sealer) "
        "FROM penstock.leaves WHERE leaf_index = 3"
    )
    with pytest.raises(TrailError, match=r"first 10 leaves do not have the root .* penstock\.checkpoints\.v1"):
        await deployment.seal()


async def test_a_checkpoint_of_another_key_stops_it(deployment: Deployment) -> None:
    deployment.exchange()
    await deployment.seal()
    (deployment.settings.state / "secrets" / "signing_key").write_text("1 " + "A" * 43 + "=\n")
    with pytest.raises(TrailError, match="cannot be trusted: no known key signed it"):
        await deployment.seal()


async def test_a_checkpoint_that_reached_the_topic_alone_is_filed_at_the_next_start(deployment: Deployment) -> None:
    deployment.exchange()
    await deployment.seal()
    path = checkpoints_path(deployment.settings)
    published = await last_published(deployment.settings)
    whole = path.read_text()
    path.write_text(whole[:40])
    sealer = Sealer(deployment.settings)
    await sealer.open()
    await sealer.close()
    assert path.read_text() == whole
    assert last_note(path) == published


async def test_a_topic_that_is_behind_the_file_adds_nothing_to_it(deployment: Deployment) -> None:
    deployment.exchange()
    await deployment.seal()
    path = checkpoints_path(deployment.settings)
    older = path.read_text()
    deployment.exchange()
    await deployment.seal()
    whole = path.read_text()
    writer = CheckpointWriter(deployment.settings)
    await writer.start()
    await writer.publish(older.removesuffix("\n"))
    await writer.stop()
    sealer = Sealer(deployment.settings)
    await sealer.open()
    await sealer.close()
    assert path.read_text() == whole


async def test_only_this_logs_committed_checkpoints_are_read_from_the_topic(deployment: Deployment) -> None:
    writer = CheckpointWriter(deployment.settings)
    await writer.start()
    for number in range(3):
        await writer.publish(f"note {number}\n")
    await writer.stop()
    assert [note async for note in all_published(deployment.settings)] == ["note 0\n", "note 1\n", "note 2\n"]
    assert await last_published(deployment.settings) == "note 2\n"


async def test_kafka_away_is_said(deployment: Deployment) -> None:
    (deployment.settings.run / "kafka.json").unlink()
    with pytest.raises(ServiceUnavailable, match="kafka does not run here"):
        await deployment.seal()


async def test_a_kept_tree_spares_reading_and_a_damaged_one_is_not_believed(deployment: Deployment) -> None:
    deployment.exchange()
    checkpoint = await deployment.seal()
    kept = read_tree(deployment.settings)
    assert (kept.size, kept.root()) == (checkpoint.size, checkpoint.root)
    for damage in ("", "{}", '{"size": 3, "hashes": []}', "[]"):
        (deployment.settings.state / "seal-tree.json").write_text(damage)
        assert read_tree(deployment.settings).size == 0
    kept.hashes[0] = bytes(32)
    keep_tree(deployment.settings, kept)
    assert (await deployment.seal()).root == checkpoint.root


async def test_a_file_that_cannot_be_written_is_said(deployment: Deployment) -> None:
    folder = checkpoints_path(deployment.settings)
    folder.mkdir()
    with pytest.raises(ServiceUnavailable, match="cannot write"):
        append_note(folder, "note\n")


@pytest.mark.parametrize("claimed", [2**64 - 1, 2**64 - 2])
async def test_a_leaf_of_a_sealer_from_the_end_of_time_stops_nothing(deployment: Deployment, claimed: int) -> None:
    deployment.exchange()
    await deployment.seal()
    forged = f"SELECT 15, topic, partition, offset, frame_index, leaf_hash, {claimed} FROM penstock.leaves FINAL"
    deployment.alter(f"INSERT INTO penstock.leaves {forged} WHERE leaf_index = 3")
    for size in (20, 30, 40):
        deployment.exchange()
        assert (await deployment.seal()).size == size
    report = await deployment.verify()
    assert report.ok, report.faults
