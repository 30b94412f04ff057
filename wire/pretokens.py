"""Where a growing text is cut into pre-tokens for good.

Byte-pair encoding works inside the pieces that a vocabulary's pattern cuts a text into, left to right. More text can
change only pieces whose match looked at the end of the text: the rules below say how far back that reaches. They hold
for the patterns of `vocabulary` (o200k_base, cl100k_base), whose alternatives are letters with one prefix character
(and, in o200k_base, a contraction behind), up to three digits, other characters with line ends behind, and white space.
"""

import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Final, Literal

import regex

from .vocabulary import SOURCES

Kind = Literal["letter", "mark", "digit", "space", "line", "other", "unknown"]

BLOCK_CHARS: Final = 8_192
"""How much of a whole text is encoded at a time."""
_UNSTABLE: Final = ("Cn", "Cs")
"""Unassigned here, but perhaps a letter for tiktoken; or half of a pair. Nothing from there on is settled."""


@cache
def pattern(name: str) -> regex.Pattern[str]:
    """The pre-token pattern of a vocabulary."""
    return regex.compile(SOURCES[name].pattern)


def space_border(text: str) -> int:
    """The last place in `text` where a space follows no white space, or 0.

    No alternative matches a space behind a character that is none, and none looks across such a place: the text before
    and the text from there on are encoded apart, whatever follows.
    """
    place = len(text)
    while (place := text.rfind(" ", 1, place)) > 0:
        if not text[place - 1].isspace():
            return place
    return 0


def settled(name: str, text: str) -> int:
    """How many characters of `text`, from its start (a pre-token's start), are pre-tokens for good.

    They do not end with a space: alone, white space at an end is cut differently from white space before a word.
    """
    known = text[: stable(text)]
    letters: tuple[Kind, ...] = ("letter", "mark") if name == "o200k_base" else ("letter",)
    letters_reach = _letters(name, known, letters)
    reach = min(
        letters_reach,
        _digits(known),
        _run(known, lambda kind: kind in ("other", "mark", "line")),
        _run(known, lambda kind: kind in ("space", "line")),
    )
    done = 0
    for found in pattern(name).finditer(known):
        of_letters = any(_kind(character) in letters for character in known[found.start() : found.start() + 2])
        if found.end() > (letters_reach if of_letters else reach):
            break
        if _kind(known[found.end() - 1]) != "space":
            done = found.end()
    return done


def block_end(name: str, block: str) -> int:
    """Where a block that starts with a pre-token is best cut: behind the last place that no pre-token can span."""
    return space_border(block) or settled(name, block) or len(block)


def stable(text: str) -> int:
    """How many characters of `text`, from its start, have a kind that is sure to be tiktoken's as well."""
    if text.isascii():
        return len(text)
    return next((place for place, character in enumerate(text) if _kind(character) == "unknown"), len(text))


def _letters(name: str, text: str, letters: tuple[Kind, ...]) -> int:
    """Pieces of letters that end at or before this place never looked at the end of `text`, nor could look behind."""
    start = _run(text, lambda kind: kind in letters)
    if name != "o200k_base":
        return start
    if len(text) - start <= 2 and text[start - 1 : start] == "'":  # may yet become a contraction
        return _run(text[: start - 1], lambda kind: kind in letters)
    for place in range(len(text) - 1, start, -1):
        if text[place - 1].islower() and _category(text[place]) in ("Lu", "Lt") and _category(text[place - 1]) == "Ll":
            return place  # no letter piece goes on from lower to upper case
    return start


def _digits(text: str) -> int:
    """Digits are cut into threes from their start."""
    start = _run(text, lambda kind: kind == "digit")
    return start + (len(text) - start) // 3 * 3


def _run(text: str, belongs: Callable[[Kind], bool]) -> int:
    """Where the run of such characters that ends `text` starts."""
    place = len(text)
    while place and belongs(_kind(text[place - 1])):
        place -= 1
    return place


_category = cache(unicodedata.category)


@cache
def _kind(character: str) -> Kind:
    if character in "\r\n":
        return "line"
    if character.isspace() and not "\x1c" <= character <= "\x1f":
        return "space"
    category = _category(character)
    if category in _UNSTABLE:
        return "unknown"
    kinds: dict[str, Kind] = {"L": "letter", "M": "mark", "N": "digit"}
    return kinds.get(category[0], "other")
