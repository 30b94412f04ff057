"""The file of checkpoints: whole notes stay, a torn one is cut off by the next writer."""

from pathlib import Path

from penstock.trail.checkpoint import Checkpoint, join_notes, sign_checkpoint
from penstock.trail.checkpoint_file import TAIL_BYTES, append_note, last_note, read_notes

SEED = bytes(32)
NOTES = [sign_checkpoint(Checkpoint("log", size, bytes(32), 5), SEED) for size in range(400)]


def test_notes_come_back_in_order_and_the_last_is_found_in_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "checkpoints.txt"
    assert last_note(path) is None
    for count, note in enumerate(NOTES, 1):
        append_note(path, note)
        if count in (1, 2, 400):
            assert last_note(path) == note
    assert path.stat().st_size > TAIL_BYTES
    assert list(read_notes(path)) == NOTES
    assert path.read_text() == join_notes(NOTES)


def test_a_torn_end_is_not_the_last_note_and_is_cut_off_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.txt"
    whole = join_notes(NOTES[:2])
    for cut in range(1, len(NOTES[2])):
        path.write_text(whole + NOTES[2][:cut])
        assert last_note(path) == NOTES[1]
    append_note(path, NOTES[3])
    assert list(read_notes(path)) == [NOTES[0], NOTES[1], NOTES[3]]


def test_a_file_that_holds_a_torn_note_alone_has_no_last(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.txt"
    path.write_text(NOTES[0][:60])
    assert last_note(path) is None
    append_note(path, NOTES[1])
    assert path.read_text() == join_notes([NOTES[1]])
