"""A field of a multipart form (RFC 7578), found without taking the form apart: files in it may be large.

The boundary is the form's own first line (RFC 2046, 5.1.1). Of a repeated field the last counts, as for most servers.
"""

import re
from typing import Final

VALUE_MAX_BYTES: Final = 1024
_FIRST: Final = re.compile(rb"\A(?:\r?\n)?(--[^\r\n]{1,70})\r?\n")
_HEAD_MAX_BYTES: Final = 2048


def form_field(body: bytes, name: str) -> str:
    """The text of the field `name` in a form; empty where there is none, or `body` is no form."""
    first = _FIRST.match(body)
    if first is None:
        return ""
    boundary = first[1].rstrip(b" \t")
    wanted = re.compile(
        rb"""(?i)^content-disposition:[^\r\n]*;\s*name=(?:"%b"|%b(?=[\s;]|$))""" % ((name.encode(),) * 2), re.M
    )
    found, at = "", first.start(1)
    while at >= 0:
        start = at + len(boundary)
        head, separator, rest = _part(body, start)
        if separator and wanted.search(head) and b"filename" not in head.lower():
            end = body.find(b"\n" + boundary, rest)
            value = body[rest : rest + VALUE_MAX_BYTES if end < 0 else min(end, rest + VALUE_MAX_BYTES)]
            found = value.rstrip(b"\r").decode("utf-8", "replace")
        following = body.find(b"\n" + boundary, start)
        at = following + 1 if following >= 0 else -1
    return found


def _part(body: bytes, start: int) -> tuple[bytes, bool, int]:
    """The head of the part that begins at `start`, whether it ends, and where its content begins."""
    window = body[start : start + _HEAD_MAX_BYTES]
    blank = re.search(rb"\r?\n\r?\n", window)
    if blank is None:
        return b"", False, start
    return window[: blank.start()], True, start + blank.end()
