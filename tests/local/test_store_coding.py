"""Content codings: there and back, bounded, and never more than asked for."""

import gzip

import lz4.frame
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from penstock.local.store_coding import Encoder, chosen, decoded
from penstock.local.store_errors import StoreError

CODINGS = ["lz4", "zstd", "gzip"]
WHOLE = {"lz4": lz4.frame.compress, "zstd": zstd.compress, "gzip": gzip.compress}


@pytest.mark.parametrize("coding", CODINGS)
@given(pieces=st.lists(st.binary(max_size=200), max_size=5))
def test_what_is_encoded_is_decoded(coding: str, pieces: list[bytes]) -> None:
    encoder = Encoder(coding)
    sent = b"".join(encoder.feed(piece) for piece in pieces) + encoder.finish()
    assert decoded(sent, coding, 10_000) == b"".join(pieces)


@pytest.mark.parametrize("coding", CODINGS)
def test_frames_may_follow_each_other(coding: str) -> None:
    assert decoded(WHOLE[coding](b"one") + WHOLE[coding](b"two"), coding, 100) == b"onetwo"


@pytest.mark.parametrize("coding", [*CODINGS, ""])
def test_a_bomb_is_refused_before_it_grows(coding: str) -> None:
    body = WHOLE[coding](bytes(50_000_000)) if coding else bytes(1_000_001)
    with pytest.raises(StoreError, match="longer than 1000000 bytes") as raised:
        decoded(body, coding, 1_000_000)
    assert raised.value.status == 413


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("body", [b"plain text", None])
def test_what_is_damaged_or_cut_short_is_refused(coding: str, body: bytes | None) -> None:
    with pytest.raises(StoreError) as raised:
        decoded(body or WHOLE[coding](b"x" * 1000)[:-5], coding, 10_000)
    assert raised.value.status == 400


def test_an_unknown_coding_is_refused() -> None:
    with pytest.raises(StoreError, match="br"):
        decoded(b"", "br", 1)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", None),
        ("br, gzip", "gzip"),
        ("zstd;q=0, lz4", "lz4"),
        ("ZSTD;q=0.5", "zstd"),
        ("*", None),
        ("gzip; q=0", None),
    ],
)
def test_the_first_coding_that_both_speak_is_chosen(accepted: str, coding: str | None) -> None:
    assert chosen(accepted) == coding
