"""The endpoint's words: as many tokens as pieces, the same for the same seed."""

import pytest

from penstock.local.endpoint_text import _OPENINGS, _WORDS, batches, compose, vector
from penstock.wire.vocabulary import vocabulary


@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base"])
def test_a_piece_is_a_token(name: str) -> None:
    encoding = vocabulary(name)
    for piece in [" " + word for word in _WORDS + list(_OPENINGS)] + list(_OPENINGS) + [".", ",", " —", " →"]:
        assert len(encoding.encode(piece)) == 1, piece
    for tokens in (0, 1, 2, 30, 700):
        assert len(encoding.encode("".join(compose("seed", tokens)))) == tokens


def test_the_seed_decides() -> None:
    assert compose("a", 50) == compose("a", 50) != compose("b", 50)
    assert vector("a", 8) == vector("a", 8) != vector("b", 8)
    assert abs(sum(value * value for value in vector("a", 8)) - 1) < 1e-9


def test_batches_hold_the_same_text() -> None:
    pieces = compose("a", 200)
    found = batches(pieces, "a")
    assert "".join(found) == "".join(pieces)
    assert len(found) < len(pieces)
