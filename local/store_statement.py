"""Pure: a request's statement: is it an INSERT with data, and where does the data start?

A server reads the `query` parameter and the body as one text. Here an INSERT of data is split from its data; anything
else stays one text, which the engine's parser judges later. This file decides nothing about rights.
"""

import re
from dataclasses import dataclass
from typing import Final

from .store_errors import SYNTAX_ERROR, refuse

HEAD_MAX_BYTES: Final = 262_144
"""What a statement may be long without its data (a server's max_query_size)."""

_SPACE = rb"(?:\s|--[^\n]*(?:\n|\Z)|\#[ !][^\n]*(?:\n|\Z)|/\*.*?\*/)"
_NAME = rb"(?:[A-Za-z_]\w*|`(?:\\.|``|[^`\\])+`|\"(?:\\.|\"\"|[^\"\\])+\")"
_TABLE = rb"%(n)s(?:%(s)s*\.%(s)s*%(n)s)?" % {b"n": _NAME, b"s": _SPACE}
_COLUMNS = rb"\(%(s)s*%(n)s(?:%(s)s*[.]%(s)s*%(n)s)*(?:%(s)s*,%(s)s*%(n)s(?:%(s)s*[.]%(s)s*%(n)s)*)*%(s)s*\)" % {
    b"n": _NAME,
    b"s": _SPACE,
}
_INSERT = re.compile(
    rb"%(s)s*(?P<target>INSERT%(s)s+INTO%(s)s+(?:TABLE%(s)s+)?(?!FUNCTION\b)%(t)s(?:%(s)s*%(c)s)?)"
    rb"%(s)s*(?:FORMAT%(s)s+(?P<format>\w+)|(?P<values>VALUES\b))" % {b"s": _SPACE, b"t": _TABLE, b"c": _COLUMNS},
    re.IGNORECASE | re.DOTALL,
)
_FIRST_WORD = re.compile(rb"%(s)s*(\w+)" % {b"s": _SPACE}, re.IGNORECASE | re.DOTALL)
_BLANKS = re.compile(rb"[ \t]*;?[ \t]*(?:\r?\n)?")


@dataclass(frozen=True, slots=True)
class Insert:
    """`INSERT INTO table (columns)` and its data in `format`."""

    target: str
    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Text:
    """Any other statement, whole."""

    sql: str


def read_statement(query: str, body: bytes) -> Insert | Text:
    """The one statement in a request. StoreError 62 where it is empty, too long, or no UTF-8."""
    text = query.encode() + (b"\n" + body if query and body else body)
    if not text.strip():
        raise refuse(SYNTAX_ERROR, "The request holds no statement.")
    insert = _insert(query.encode(), body) if first_word(text[:HEAD_MAX_BYTES]) == "INSERT" else None
    if insert is not None:
        return insert
    if len(text) > HEAD_MAX_BYTES:
        raise refuse(SYNTAX_ERROR, f"The statement is longer than {HEAD_MAX_BYTES} bytes.")
    try:
        return Text(text.decode())
    except UnicodeDecodeError as error:
        raise refuse(SYNTAX_ERROR, "The statement is no UTF-8.") from error


def first_word(text: bytes) -> str:
    """The first word after comments, in capitals; empty where there is none."""
    found = _FIRST_WORD.match(text)
    return found[1].decode("ascii", "replace").upper() if found else ""


def _insert(query: bytes, body: bytes) -> Insert | None:
    whole = query if _INSERT.match(query) else query + (b"\n" if query and body else b"") + body
    found = _INSERT.match(whole[:HEAD_MAX_BYTES])
    if found is None:
        return None
    rest = whole[found.end() :]
    if whole is query:  # what follows a complete head in the parameter is data as well, before the body's
        rest = rest.strip()
        rest = (rest + b"\n" if rest and rest != b";" else b"") + body
    elif not found["values"]:
        rest = rest[_end_of_line(rest) :]
    name = "Values" if found["values"] else found["format"].decode("ascii", "replace")
    try:
        return Insert(found["target"].decode(), name, rest)
    except UnicodeDecodeError as error:
        raise refuse(SYNTAX_ERROR, "The statement is no UTF-8.") from error


def _end_of_line(rest: bytes) -> int:
    found = _BLANKS.match(rest)
    return found.end() if found else 0
