"""Whoever holds the store and the state folder, but not the signing key, and meddles with what was signed."""

import shutil
from pathlib import Path

import pytest

from penstock.schemas.errors import UsageError
from penstock.schemas.secrets import read_secret
from penstock.trail.checkpoint import Checkpoint, join_notes, sign_checkpoint
from penstock.trail.checkpoint_file import append_note, read_notes
from penstock.trail.checkpoint_topic import CheckpointWriter
from penstock.trail.note import verifier_of
from penstock.trail.report import Report
from penstock.trail.seal_state import checkpoints_path, public_key_path

from .deployment import Deployment

pytestmark = pytest.mark.services
FILE = "checkpoints.txt"
TOPIC = "penstock.checkpoints.v1"
OTHER_SEED = bytes(range(32))


def checkpoint_faults(report: Report) -> list[str]:
    assert {fault.kind for fault in report.faults} <= {"checkpoint"}
    return [str(fault) for fault in report.faults]


async def publish(deployment: Deployment, note: str) -> None:
    writer = CheckpointWriter(deployment.settings)
    await writer.start()
    await writer.publish(note)
    await writer.stop()


async def test_an_older_file_is_outweighed_by_the_topic(sealed: Deployment) -> None:
    path = checkpoints_path(sealed.settings)
    first, _ = read_notes(path)
    path.write_text(join_notes([first]))
    sealed.alter("ALTER TABLE penstock.leaves DELETE WHERE leaf_index >= 30 SETTINGS mutations_sync = 2")
    report = await sealed.verify()
    assert [(fault.kind, fault.where) for fault in report.faults] == [("truncated", "leaf 30")]


async def test_an_older_file_and_no_topic_leave_the_tail_unprotected_and_it_is_said(sealed: Deployment) -> None:
    path = checkpoints_path(sealed.settings)
    first, _ = read_notes(path)
    path.write_text(join_notes([first]))
    (sealed.settings.run / "kafka.json").unlink()
    report = await sealed.verify()
    assert (report.ok, report.protected, report.unprotected) == (True, 16, 20)
    assert "checkpoints on the topic were not checked" in report.notes[0]


async def test_a_file_cut_off_in_mid_note(sealed: Deployment) -> None:
    path = checkpoints_path(sealed.settings)
    path.write_text(path.read_text()[:-40])
    assert [text.split(":")[0] for text in checkpoint_faults(await sealed.verify())] == [f"{FILE} entry 2"]


async def test_notes_in_another_order(sealed: Deployment) -> None:
    path = checkpoints_path(sealed.settings)
    path.write_text(join_notes(reversed(list(read_notes(path)))))
    (fault,) = checkpoint_faults(await sealed.verify())
    assert fault.startswith(f"{FILE} entry 2: its size 16 is smaller than 36")


async def test_a_public_key_of_ones_own_is_betrayed_by_the_topic_and_by_a_copy(
    sealed: Deployment, tmp_path: Path
) -> None:
    """All in the state folder is signed anew, over a log that was emptied: only what lies elsewhere tells."""
    mine = tmp_path / "mine.pub"
    shutil.copy(public_key_path(sealed.settings), mine)
    origin = sealed.settings.trail.origin
    empty = Checkpoint(origin, 0, bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), 1)
    public_key_path(sealed.settings).write_text(f"{verifier_of(origin, OTHER_SEED)}\n")
    checkpoints_path(sealed.settings).write_text(join_notes([sign_checkpoint(empty, OTHER_SEED)]))
    sealed.empty()
    assert checkpoint_faults(await sealed.verify()) == [f"{TOPIC} entry {n}: no known key signed it" for n in (1, 2)]
    report = await sealed.verify(key=str(mine))
    assert {fault.kind for fault in report.faults} == {"checkpoint", "truncated"}
    (sealed.settings.run / "kafka.json").unlink()
    blind = await sealed.verify()
    assert blind.ok, "this is why a copy of the key is taken away on the first day"
    assert blind.keys != report.keys, "and why verify says which key it believed"


async def test_a_public_key_that_was_altered(sealed: Deployment) -> None:
    path = public_key_path(sealed.settings)
    path.write_text(path.read_text().replace("+", "+0", 1))
    with pytest.raises(UsageError, match="public key"):
        await sealed.verify()


async def test_a_forged_signature_and_a_checkpoint_of_another_log(sealed: Deployment) -> None:
    path = checkpoints_path(sealed.settings)
    origin = sealed.settings.trail.origin
    seed = read_secret("signing_key", sealed.settings.secrets.signing_key, sealed.settings.state).current
    forged = sign_checkpoint(Checkpoint(origin, 40, bytes(32), 1), OTHER_SEED)
    append_note(path, forged)
    append_note(path, sign_checkpoint(Checkpoint("another/log", 40, bytes(32), 1), seed))
    await publish(sealed, forged)
    assert checkpoint_faults(await sealed.verify()) == [
        f"{FILE} entry 3: no known key signed it",
        f"{FILE} entry 4: no known key signed it",
        f"{TOPIC} entry 3: no known key signed it",
    ]


@pytest.mark.parametrize("where", ["file", "topic"])
async def test_a_fork_signed_by_the_true_key(sealed: Deployment, where: str) -> None:
    origin = sealed.settings.trail.origin
    seed = read_secret("signing_key", sealed.settings.secrets.signing_key, sealed.settings.state).current
    fork = sign_checkpoint(Checkpoint(origin, 36, bytes(32), 1), seed)
    if where == "file":
        append_note(checkpoints_path(sealed.settings), fork)
    else:
        await publish(sealed, fork)
    (fault,) = checkpoint_faults(await sealed.verify())
    assert fault.startswith("size 36: two signed checkpoints give it different roots")


async def test_a_larger_head_over_other_leaves(sealed: Deployment) -> None:
    """The true key was made to sign a tree that does not grow out of the one before."""
    sealed.exchange()
    await sealed.seal()
    origin = sealed.settings.trail.origin
    seed = read_secret("signing_key", sealed.settings.secrets.signing_key, sealed.settings.state).current
    append_note(checkpoints_path(sealed.settings), sign_checkpoint(Checkpoint(origin, 40, bytes(32), 1), seed))
    report = await sealed.verify()
    assert ("root", "leaves 36–39") in [(fault.kind, fault.where) for fault in report.faults]
