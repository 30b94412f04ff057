"""A prompt costs a bounded time to count, whatever it is made of."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.wire.bounded import BoundedCount
from penstock.wire.joined import BULK_CHARS, JoinedCount, text_tokens

NAME = "o200k_base"
SIZE = 8_000_000


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=200), max_size=20))
def test_ordinary_prompts_are_counted_exactly(texts: list[str]) -> None:
    count = BoundedCount(NAME)
    assert [count(text) for text in texts] == [text_tokens(NAME, text) for text in texts]
    assert count.exact


def test_a_message_of_nothing_but_spaces_is_sampled_too() -> None:
    count = BoundedCount(NAME)
    assert count(" " * 1_000_000) == pytest.approx(1_000_000 / 128, rel=0.1)
    assert not count.exact


def test_a_large_prompt_of_words_is_counted_exactly() -> None:
    text = "the quick brown fox jumps over the lazy dog " * 90_000
    count = BoundedCount(NAME)
    assert count(text) == text_tokens(NAME, text)
    assert count.exact


def hostile(kind: str, size: int) -> str:
    letters = {"one letter": "a", "signs": "!@#$%^&*()_+{}|:<>?", "digits": "0123456789", "mixed": "aB1!x\n中"}[kind]
    chosen = random.Random(1)
    return "".join(chosen.choices(letters, k=size)) if len(letters) > 1 else letters * size


@pytest.mark.parametrize("kind", ["one letter", "signs", "digits", "mixed"])
def test_a_hostile_prompt_is_sampled(kind: str) -> None:
    text = hostile(kind, 1_000_000)
    count = BoundedCount(NAME)
    assert count(text) == pytest.approx(text_tokens(NAME, text), rel=0.05)
    assert not count.exact


@pytest.mark.parametrize("kind", ["one letter", "digits"])
def test_of_a_large_hostile_prompt_a_small_part_is_read(kind: str) -> None:
    count = BoundedCount(NAME)
    count(hostile(kind, SIZE))
    assert count._counted_chars < SIZE / 25


def test_many_short_texts_are_sampled_too() -> None:
    texts = [hostile("mixed", 100) for _ in range(20_000)]
    count = BoundedCount(NAME)
    assert sum(map(count, texts)) == pytest.approx(len(texts) * text_tokens(NAME, texts[0]), rel=0.05)
    assert not count.exact


@pytest.mark.parametrize("kind", ["one letter", "signs", "mixed"])
def test_a_large_addition_to_a_running_count_is_settled_at_once(kind: str) -> None:
    text = hostile(kind, 300_000)
    count = JoinedCount(NAME)
    for piece in ("a", text[:200_000], text[200_000:], "b"):
        count.add(piece)
        assert count._run is None or count._run.size_bytes <= 2 * BULK_CHARS
    assert count.tokens == pytest.approx(text_tokens(NAME, f"a{text}b"), rel=0.03)
    assert not count.exact
