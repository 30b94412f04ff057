"""The running count equals the whole-text count after every addition, for both vocabularies."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.wire.joined import JoinedCount, text_tokens
from penstock.wire.piece import PieceRun, SpaceRun
from penstock.wire.pretokens import BLOCK_CHARS
from penstock.wire.vocabulary import vocabulary

NAMES = ("o200k_base", "cl100k_base")
WORDS = ["word", " word", "Word", "WORD", "wOrd", "a", "B", "ǅ", "ʰ", "é", "é", "ſ", "’", "'s", "'RE", "'ſ", "'"]
SIGNS = ["/", "==", "(", "{}", "//", "}", "。", "、", "😀", "❤️", "👩‍👩‍👧", "=" * 60]
SPACES = [" ", "  ", "\n", "\r\n", "\n\n", "\t", " \n ", "\u3000", "\xa0", "\x1c", "\n " * 30, " " * 90, "\n" * 70]
SCRIPTS = ["漢", "漢字かな", "漢" * 50, "ไทย", "ก็", "हिन्दी", "\ud83d", "\ude00", "\U000323b0"]
DIGITS = ["1", "12", "123", "1234567", "٣", "²", "9" * 50]
LONG = ["x" * 40, "ABCD" * 20, "aB" * 30]
ATOMS = st.sampled_from([*WORDS, *SIGNS, *SPACES, *SCRIPTS, *DIGITS, *LONG])
PIECES = st.lists(st.one_of(ATOMS, st.text(max_size=6)), max_size=40)


def whole(name: str, text: str) -> int:
    """The tokens of `text`, but for a half of a surrogate pair that ends it."""
    text = text[:-1] if "\ud800" <= text[-1:] <= "\udbff" else text
    return len(vocabulary(name).encode_ordinary(text))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=300, deadline=None)
@given(pieces=PIECES)
def test_equal_after_every_addition(name: str, pieces: list[str]) -> None:
    count, text = JoinedCount(name), ""
    for piece in pieces:
        count.add(piece)
        text += piece
        assert count.tokens == whole(name, text), repr(text)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=300, deadline=None)
@given(pieces=PIECES, reads=st.integers(1, 7))
def test_equal_when_read_now_and_then(name: str, pieces: list[str], reads: int) -> None:
    count, text = JoinedCount(name), ""
    for place, piece in enumerate(pieces):
        count.add(piece)
        text += piece
        if place % reads == 0:
            assert count.tokens == whole(name, text), repr(text)
    assert count.tokens == whole(name, text), repr(text)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(unit=ATOMS, times=st.integers(1, 30), other=ATOMS, more=st.lists(ATOMS, max_size=6))
def test_equal_in_long_runs(name: str, unit: str, times: int, other: str, more: list[str]) -> None:
    count, text = JoinedCount(name), ""
    for piece in [unit * max(1, 300 // len(unit)), *[unit] * times, other, unit * 20, *more]:
        count.add(piece)
        text += piece
        assert count.tokens == whole(name, text), repr(text)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(pieces=PIECES, shift=st.integers(0, 40))
def test_a_whole_text_is_counted_in_blocks(name: str, pieces: list[str], shift: int) -> None:
    text = "x" * shift + "".join([*pieces, " and so on\n"]) * (BLOCK_CHARS // 40)
    assert text_tokens(name, text) == whole(name, text)


def test_a_pair_that_was_cut_is_one_character() -> None:
    count = JoinedCount("o200k_base")
    for piece in ("a \ud83d", "\ude00", " b"):
        count.add(piece)
    assert count.tokens == whole("o200k_base", "a 😀 b")


def test_time_does_not_explode_without_spaces() -> None:
    started = time.process_time()
    assert abs(text_tokens("o200k_base", "a" * 2_000_000) - 250_000) < 1000
    assert time.process_time() - started < 3


@pytest.mark.parametrize("piece", ["====", "漢字", "\n\n", "  "])
def test_a_text_without_end_takes_bounded_memory(piece: str) -> None:
    count = JoinedCount("o200k_base")
    for _ in range(2000):
        count.add(piece * 4)
    assert isinstance(count._run, PieceRun | SpaceRun)
    kept = count._run._count if isinstance(count._run, PieceRun) else count._run._whole
    assert len(kept.last) == len(kept.counts) < 2000
    assert count.tokens == len(vocabulary("o200k_base").encode_ordinary(piece * 8000))
