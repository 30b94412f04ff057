"""Pure: what a read may name. The engine's own read-only mode is no boundary by itself.

Measured on chdb 26.9: in `readonly=1`, `SELECT file('/etc/passwd')` reads the file, also as `APPLY(file)`, as
`arrayMap(file, …)` and through an Identifier parameter; `DESCRIBE url(…)` opens a connection. So every read is first
written anew by the engine (`formatQuerySingleLine`: escapes, comments and quoting gone), and its words are looked at.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from .store_errors import ACCESS_DENIED, StoreError, refuse

_LOCAL_TABLE_FUNCTIONS_WORDS = """
    format fuzzjson generaterandom generateseries generate_series loop merge mergetreeindex mergetreeprojection
    mergetreetextindex null numbers numbers_mt primes sqlstandardvalues timeseriesdata timeseriesmetrics
    timeseriestags values view viewexplain viewifpermitted zeros zeros_mt
"""
LOCAL_TABLE_FUNCTIONS: Final = frozenset(_LOCAL_TABLE_FUNCTIONS_WORDS.split())
"""Table functions that read nothing but tables of this store, or nothing at all; any other one is refused."""

_OUTSIDE_FUNCTIONS_WORDS = """
    file python aiclassify aiembed aiextract aifilter aigenerate airedact aisimilarity aitranslate addresstoline
    addresstolinewithinlines addresstosymbol showcertificate
"""
OUTSIDE_FUNCTIONS: Final = frozenset(_OUTSIDE_FUNCTIONS_WORDS.split())
"""Functions that look outside the store. They may be passed by name alone, so the bare word is refused."""

_TOKEN = re.compile(
    r"""
    (?P<string>'(?:\\.|''|[^'\\])*')
  | (?P<quoted>`(?:\\.|``|[^`\\])*`|"(?:\\.|""|[^"\\])*")
  | (?P<word>[A-Za-z_$@][\w$@]*)
  | (?P<other>\S)
    """,
    re.VERBOSE | re.DOTALL,
)
_IDENTIFIER_PARAMETER = re.compile(r"\{\s*(\w+)\s*:\s*Identifier\s*\}", re.IGNORECASE)


def check_read(canonical: str, parameters: Mapping[str, str], table_functions: Iterable[str]) -> None:
    """Returns if the statement may run for a reader; StoreError 497 names what it may not use.

    `canonical` is the engine's own rendering. `table_functions` are all names that this engine knows.
    """
    refused = {name.lower() for name in table_functions} - LOCAL_TABLE_FUNCTIONS
    words = list(_words(canonical))
    for (kind, word), (_, following) in zip(words, [*words[1:], ("other", "")], strict=True):
        if kind == "other":
            continue
        name = word.lower()
        if name in OUTSIDE_FUNCTIONS or (name in refused and following == "("):
            raise _outside(word)
    for parameter in _IDENTIFIER_PARAMETER.findall(canonical):
        value = parameters.get(parameter, "")
        if "\\" in value or value.strip('`"').lower() in OUTSIDE_FUNCTIONS | refused:
            raise _outside(f"{{{parameter}:Identifier}}")


def output_format(canonical: str) -> str | None:
    """The name after the statement's own FORMAT; None where it has none."""
    words = [word for kind, word in _words(canonical) if kind != "string"]
    for place in range(len(words) - 2, -1, -1):
        # A FORMAT of the whole statement is followed by its name and nothing, or by SETTINGS.
        if words[place].upper() == "FORMAT" and (place + 2 == len(words) or words[place + 2].upper() == "SETTINGS"):
            return words[place + 1]
    return None


def _words(canonical: str) -> Iterator[tuple[str, str]]:
    for found in _TOKEN.finditer(canonical):
        if found["quoted"]:
            yield "word", re.sub(r"\\(.)", r"\1", found["quoted"][1:-1], flags=re.DOTALL)
        elif found["word"]:
            yield "word", found["word"]
        elif found["string"]:
            yield "string", ""
        else:
            yield "other", found["other"]


def _outside(name: str) -> StoreError:
    return refuse(
        ACCESS_DENIED,
        f"`{name[:64]}` can reach outside the store: reads of the embedded store may not use it.",
    )
