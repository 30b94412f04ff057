"""The published byte-pair vocabularies, from package data: never from the network, never from a cache folder.

A vocabulary file is `wire/vocab/<name>.xz`: for each token in order of rank one length byte and the token's bytes,
xz-compressed. `scripts/pack_vocabulary.py` makes it from the official `.tiktoken` file, whose SHA-256 it checks; here
the unpacked bytes are checked again. Patterns are those of tiktoken 0.14 (MIT, see NOTICE).
"""

import hashlib
import lzma
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import tiktoken

from penstock.schemas.errors import PenstockError

_CONTRACTION: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_PREFIX: Final = r"[^\r\n\p{L}\p{N}]?"
_UPPER: Final = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER: Final = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"

_CL100K: Final = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_O200K: Final = "|".join(
    (
        _PREFIX + _UPPER + "*" + _LOWER + "+" + _CONTRACTION,
        _PREFIX + _UPPER + "+" + _LOWER + "*" + _CONTRACTION,
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


class VocabularyError(PenstockError):
    """A vocabulary of the installed package is missing or damaged: install the package again."""


@dataclass(frozen=True, slots=True)
class _Source:
    pattern: str
    sha256: str
    official_sha256: str
    special: dict[str, int]


SOURCES: Final = {
    "o200k_base": _Source(
        _O200K,
        "bac143fe7fe950090c6e4ed9a2f80de5412a92495758b52becbbe5a7eea25ecb",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
    ),
    "cl100k_base": _Source(
        _CL100K,
        "6bfd43f7b31b50b645b3228413547e662af1ae4801e9b192b9791680a71d650c",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        {
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
}


@cache
def vocabulary(name: str) -> tiktoken.Encoding:
    """The encoding `o200k_base` or `cl100k_base`, loaded once per process (about 0.2 s).

    VocabularyError where the file is missing or its digest is wrong; KeyError for another name.
    """
    source = SOURCES[name]
    return tiktoken.Encoding(
        name,
        pat_str=source.pattern,
        mergeable_ranks=token_ranks(name),
        special_tokens=source.special,
    )


@cache
def token_ranks(name: str) -> dict[bytes, int]:
    """The tokens of a vocabulary, each with its rank. Errors as `vocabulary`."""
    return _ranks(_unpacked(name, SOURCES[name].sha256))


def _unpacked(name: str, sha256: str) -> bytes:
    file = files("penstock.wire").joinpath("vocab", f"{name}.xz")
    try:
        packed = lzma.decompress(file.read_bytes())
    except (OSError, lzma.LZMAError) as error:
        raise VocabularyError(f"vocabulary {name}: cannot read {file} ({error}); install penstock again") from error
    if hashlib.sha256(packed).hexdigest() != sha256:
        raise VocabularyError(f"vocabulary {name}: {file} has a wrong digest; install penstock again")
    return packed


def _ranks(packed: bytes) -> dict[bytes, int]:
    """Ranks are dense in both vocabularies, so a token's rank is its place."""
    ranks: dict[bytes, int] = {}
    at, end, rank = 0, len(packed), 0
    while at < end:
        stop = at + 1 + packed[at]
        ranks[packed[at + 1 : stop]] = rank
        at, rank = stop, rank + 1
    return ranks
