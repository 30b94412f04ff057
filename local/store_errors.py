"""The store's errors: a ClickHouse code, its name, a sentence; and the HTTP status that a server gives them."""

import re
from typing import Final

SYNTAX_ERROR: Final = (62, "SYNTAX_ERROR")
BAD_ARGUMENTS: Final = (36, "BAD_ARGUMENTS")
NOT_IMPLEMENTED: Final = (48, "NOT_IMPLEMENTED")
CANNOT_READ_ALL_DATA: Final = (33, "CANNOT_READ_ALL_DATA")
TOO_MANY_BYTES: Final = (307, "TOO_MANY_BYTES")
TOO_LARGE: Final = (396, "TOO_MANY_ROWS_OR_BYTES")
TOO_MANY_QUERIES: Final = (202, "TOO_MANY_SIMULTANEOUS_QUERIES")
READONLY: Final = (164, "READONLY")
ACCESS_DENIED: Final = (497, "ACCESS_DENIED")
AUTHENTICATION_FAILED: Final = (516, "AUTHENTICATION_FAILED")
SESSION_IS_LOCKED: Final = (373, "SESSION_IS_LOCKED")
UNKNOWN: Final = (1002, "UNKNOWN_EXCEPTION")

_STATUS: Final = {
    **dict.fromkeys((6, 26, 27, 33, 36, 38, 41, 43, 47, 53, 62, 73, 115, 130, 349, 386, 456, 457), 400),
    516: 401,
    **dict.fromkeys((164, 291, 452, 497), 403),
    **dict.fromkeys((46, 60, 81), 404),
    159: 408,
    307: 413,
    48: 501,
    **dict.fromkeys((202, 209, 210), 503),
}
_CODE = re.compile(r"Code: (\d+)\. ")


class StoreError(Exception):
    """One answer that is an error. `text` is a server's: `Code: 62. DB::Exception: … (SYNTAX_ERROR)`."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @property
    def status(self) -> int:
        return _STATUS.get(self.code, 500)


def refuse(kind: tuple[int, str], sentence: str) -> StoreError:
    """An error of our own, worded as a server words its own."""
    code, name = kind
    return StoreError(code, f"Code: {code}. DB::Exception: {sentence} ({name})")


def from_engine(error: Exception) -> StoreError:
    """What the engine said, from its first `Code:` on; without one it is code 1002."""
    text = str(error)
    found = _CODE.search(text)
    if found is None:
        return refuse(UNKNOWN, text[:1000] or type(error).__name__)
    return StoreError(int(found[1]), text[found.start() :].strip())
