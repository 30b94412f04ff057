"""Pure: the words that the local endpoint answers with: the same for the same seed, and as many tokens as pieces.

Every piece is one token of both `o200k_base` and `cl100k_base` wherever it stands, since both split text before the
space that leads a word (tests/local/test_endpoint_text.py holds it); some are more than one byte a character.
"""

import random
from typing import Final

_TEXT: Final = (
    "water river gate pipe through stone bridge town light power wheel record page number what was given and taken by "
    "the team of who keep watch over a long channel between high rain snow spring summer winter field mill road market "
    "people salt wood iron steel glass paper letter word voice sound measure limit open closed small large deep wide "
    "old new first last before under above near far north south east west while when then there here with from into "
    "about again never always often sometimes because so that it is not but one two three four five café Müller São"
)
_WORDS: Final = _TEXT.split()
_OPENINGS: Final = ("The", "Here", "When", "After", "Between", "Under", "Every", "One")


def compose(seed: str, tokens: int) -> list[str]:
    """`tokens` pieces of running text, chosen by `seed`."""
    choose = random.Random(seed)
    pieces: list[str] = []
    left = 0
    for place in range(tokens):
        if left == 0:
            pieces.append(("" if place == 0 else " ") + choose.choice(_OPENINGS))
            left = choose.randint(7, 16)
        elif left == 1 or place == tokens - 1:
            pieces.append(".")
        elif left > 4 and choose.random() < 0.06:
            pieces.append(choose.choice((" —", " →", ",")))
        else:
            pieces.append(" " + choose.choice(_WORDS))
        left -= 1
    return pieces


def batches(pieces: list[str], seed: str) -> list[str]:
    """The same text in fewer, larger deltas of one to four pieces, as Anthropic sends it."""
    choose = random.Random(seed)
    found: list[str] = []
    place = 0
    while place < len(pieces):
        size = choose.randint(1, 4)
        found.append("".join(pieces[place : place + size]))
        place += size
    return found


def vector(seed: str, dimensions: int) -> list[float]:
    """A unit vector chosen by `seed`, as an embedding."""
    choose = random.Random(seed)
    values = [choose.gauss(0.0, 1.0) for _ in range(dimensions)]
    length = sum(value * value for value in values) ** 0.5 or 1.0
    return [value / length for value in values]
