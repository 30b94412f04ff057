"""Checkpoints as notes, and files of them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas.errors import TrailError
from penstock.trail.checkpoint import Checkpoint, join_notes, open_checkpoint, sign_checkpoint, split_notes
from penstock.trail.note import sign, verifier_of

SEED = bytes(range(32))
ORIGIN = "example.org/log"
KEYS = [verifier_of(ORIGIN, SEED)]
ROOT = base64.b64encode(bytes(32)).decode()
checkpoints = st.builds(
    Checkpoint,
    st.just(ORIGIN),
    st.integers(0, 2**63),
    st.binary(min_size=32, max_size=32),
    st.none() | st.integers(0, 2**40),
)


def opened(text: str) -> Checkpoint:
    return open_checkpoint(sign(text, ORIGIN, SEED), ORIGIN, KEYS)


@given(checkpoints)
def test_a_signed_checkpoint_opens_as_itself(checkpoint: Checkpoint) -> None:
    assert open_checkpoint(sign_checkpoint(checkpoint, SEED), ORIGIN, KEYS) == checkpoint


def test_its_text_is_three_lines() -> None:
    assert Checkpoint(ORIGIN, 12, bytes(32), 5).text() == f"{ORIGIN}\n12\n{ROOT}\n"


def test_extension_lines_of_others_are_read_over() -> None:
    assert opened(f"{ORIGIN}\n12\n{ROOT}\nextension\n") == Checkpoint(ORIGIN, 12, bytes(32))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{ORIGIN}\n012\n{ROOT}\n", "no number"),
        (f"{ORIGIN}\n-1\n{ROOT}\n", "no number"),
        (f"{ORIGIN}\n\u0663\n{ROOT}\n", "no number"),
        (f"{ORIGIN}\n1\n", "no checkpoint"),
        (f"{ORIGIN}\n1\nAAAA\n", "32 bytes"),
        (f"{ORIGIN}\n1\n!!\n", "no base64"),
        (f"other\n1\n{ROOT}\n", "of other, not of"),
        (f"{ORIGIN}\n1\n{ROOT}\n\n", "no checkpoint"),
    ],
)
def test_what_is_signed_but_no_checkpoint_is_refused(text: str, why: str) -> None:
    with pytest.raises(TrailError, match=why):
        opened(text)


@given(st.lists(checkpoints, max_size=6))
def test_a_file_of_notes_splits_into_them(found: list[Checkpoint]) -> None:
    notes = [sign_checkpoint(checkpoint, SEED) for checkpoint in found]
    assert list(split_notes(join_notes(notes).splitlines(keepends=True))) == notes


@given(checkpoints, checkpoints, st.data())
def test_a_torn_note_at_the_end_does_not_open_and_costs_no_other(
    first: Checkpoint, second: Checkpoint, data: st.DataObject
) -> None:
    whole, torn = sign_checkpoint(first, SEED), sign(second.text(), ORIGIN, SEED)
    cut = data.draw(st.integers(1, len(torn) - 2))
    notes = list(split_notes((join_notes([whole]) + torn[:cut]).splitlines(keepends=True)))
    assert notes[0] == whole
    assert len(notes) == 2
    with pytest.raises(TrailError):
        open_checkpoint(notes[1], ORIGIN, KEYS)
