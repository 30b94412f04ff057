"""Signed notes: a vector published with the Go reference, and notes put together here from primitives alone."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas.errors import TrailError, UsageError
from penstock.trail.note import Verifier, open_note, read_verifier, sign, verifier_of

GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
GO_NOTE = f"{GO_TEXT}\n\u2014 PeterNeumann {GO_SIGNATURE}\n"
SEED = bytes(range(32))
KEY = verifier_of("example.org/log", SEED)
texts = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1).map(lambda text: text + "\n")


def test_a_published_note_is_made_byte_for_byte() -> None:
    assert str(verifier_of("PeterNeumann", GO_SEED)) == GO_VERIFIER
    assert sign(GO_TEXT, "PeterNeumann", GO_SEED) == GO_NOTE
    assert open_note(GO_NOTE, [read_verifier(GO_VERIFIER)]).text == GO_TEXT


def by_hand(text: str, name: str, seed: bytes, time_s: int) -> str:
    """The same note from the words of the specifications: signed-note and tlog-cosignature."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes_raw()
    plain = hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4] + key.sign(text.encode())
    message = b"cosignature/v1\ntime " + str(time_s).encode() + b"\n" + text.encode()
    timed = hashlib.sha256(name.encode() + b"\n\x04" + public).digest()[:4]
    timed += time_s.to_bytes(8, "big") + key.sign(message)
    lines = [f"\u2014 {name} {base64.b64encode(blob).decode()}\n" for blob in (plain, timed)]
    return text + "\n" + "".join(lines)


@given(texts, st.integers(0, 2**40))
def test_a_note_is_what_the_specification_says_and_opens_again(text: str, time_s: int) -> None:
    note = sign(text, "example.org/log", SEED, time_s)
    assert note == by_hand(text, "example.org/log", SEED, time_s)
    opened = open_note(note, [KEY])
    assert (opened.text, opened.time_s, opened.signer) == (text, time_s, KEY)


@given(st.data())
def test_a_note_with_any_byte_changed_does_not_open(data: st.DataObject) -> None:
    note = sign("example.org/log\n5\nAAAA\n", "example.org/log", SEED, 7).encode()
    at = data.draw(st.integers(0, len(note) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda value: value != note[at]))
    changed = (note[:at] + bytes([other]) + note[at + 1 :]).decode("utf-8", "replace")
    try:
        opened = open_note(changed, [KEY])
    except TrailError:
        return
    assert opened.text == "example.org/log\n5\nAAAA\n"
    assert opened.time_s in (7, None), "a signature line of an unknown key is ignored, a known one never lies"


def test_signatures_of_others_are_ignored_and_alone_not_enough() -> None:
    other = verifier_of("witness.example", bytes(32))
    both = sign("text\n", "example.org/log", SEED) + sign("text\n", "witness.example", bytes(32)).split("\n\n")[1]
    assert open_note(both, [KEY]).signer == KEY
    assert open_note(both, [other]).signer == other
    with pytest.raises(TrailError, match="no known key"):
        open_note(both, [verifier_of("example.org/log", bytes([9]) * 32)])


def test_a_wrong_signature_in_a_known_name_refuses_the_whole_note() -> None:
    good = sign("text\n", "example.org/log", SEED)
    forged = good + sign("other\n", "example.org/log", SEED).split("\n\n")[1]
    with pytest.raises(TrailError, match=r"signature of example\.org/log is wrong"):
        open_note(forged, [KEY])


@pytest.mark.parametrize("note", ["", "text\n", "text\n\n", "text\n\nno signature\n", "text\n\n\u2014 a b\n", "\n\n\n"])
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(TrailError):
        open_note(note, [KEY])


def test_a_public_key_round_trips_and_an_altered_one_is_refused() -> None:
    assert read_verifier(f"{KEY}\n") == KEY
    with pytest.raises(UsageError, match="altered"):
        read_verifier(str(KEY).replace("example.org", "example.com"))
    for wrong in ("", "a+b", "a+00000000+!!", f"a+00000000+{base64.b64encode(bytes(33)).decode()}"):
        with pytest.raises(UsageError):
            read_verifier(wrong)


def test_a_text_that_no_note_may_hold_is_not_signed() -> None:
    for text in ("no newline", "tab\t\n"):
        with pytest.raises(ValueError, match="ends in a newline"):
            sign(text, "a", SEED)


def test_the_seed_does_not_show() -> None:
    assert repr(SEED)[2:20] not in repr(Verifier("a", KEY.public))
