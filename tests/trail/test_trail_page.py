"""What docs/trail.md tells a reader to type works, and finds an altered leaf."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.trail.checkpoint import Checkpoint, join_notes, sign_checkpoint
from penstock.trail.merkle import leaf_hash, root_of
from penstock.trail.note import verifier_of

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "trail.md").read_text()
SHELL, PYTHON = (re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[-1] for language in ("sh", "python"))
LEAVES = [leaf_hash(bytes([number])) for number in range(21)]
SEED = bytes(range(32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    notes = [
        sign_checkpoint(Checkpoint("example.org/log", size, root_of(LEAVES[:size]), 9), SEED) for size in (5, 13, 19)
    ]
    (tmp_path / "checkpoints.txt").write_text(join_notes(notes))
    (tmp_path / "trail.pub").write_text(f"{verifier_of('example.org/log', SEED)}\n")
    (tmp_path / "leaves.hex").write_text("".join(f"{leaf.hex()}\n" for leaf in LEAVES))
    return tmp_path


def python(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "ignore", "-c", PYTHON]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_python_is_short_and_says_that_all_is_well(folder: Path) -> None:
    assert len(PYTHON.splitlines()) <= 20
    assert python(folder).stdout == "example.org/log: 19 leaves are those that were signed\n"


def test_the_python_notices_an_altered_leaf_and_an_altered_checkpoint(folder: Path) -> None:
    leaves, notes = folder / "leaves.hex", folder / "checkpoints.txt"
    leaves.write_text(leaves.read_text().replace(LEAVES[7].hex(), LEAVES[8].hex()))
    assert "not those that were signed" in python(folder).stderr
    notes.write_text(notes.read_text().replace("\n19\n", "\n18\n"))
    assert "InvalidSignature" in python(folder).stderr


@pytest.mark.skipif(shutil.which("openssl") is None or shutil.which("awk") is None, reason="needs openssl and awk")
def test_the_shell_verifies_the_last_checkpoint(folder: Path) -> None:
    done = subprocess.run(["sh", "-ec", SHELL], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "Signature Verified Successfully\n"), done.stderr
    notes = folder / "checkpoints.txt"
    notes.write_text(notes.read_text().replace("\n19\n", "\n18\n"))
    assert subprocess.run(["sh", "-ec", SHELL], cwd=folder, capture_output=True).returncode != 0
