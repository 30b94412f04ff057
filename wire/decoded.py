"""What an encoded body says, cut for the store: pure, and the same whenever it is made again.

`record` keeps it beside the bytes as they came, so that SQL can read it; `verify` makes it again and compares.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from .decode import Decoder, codings
from .sse import EventSplitter

TEXT_MAX_BYTES: Final = 8_388_608
"""Of a longer text the beginning is kept."""
ROW_MAX_BYTES: Final = 700_000


class EncodedEnd(msgspec.Struct):
    """What the completion of an exchange says of its bodies."""

    content_encoding: str = ""
    request_encoding: str = ""
    request_bytes: int = 0
    response_bytes: int = 0

    @property
    def codings(self) -> dict[str, str]:
        """The Content-Encoding of each body, by the kind of its events."""
        return {"prompt": self.request_encoding, "chunk": self.content_encoding}


_read = msgspec.json.Decoder(EncodedEnd).decode


def encoded_end(completion: bytes) -> EncodedEnd | None:
    """What a completion says, if it says that a body was encoded. Never raises."""
    if b"_encoding" not in completion:
        return None
    try:
        said = _read(completion)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return said if codings(said.content_encoding) or codings(said.request_encoding) else None


def text_rows(content_encoding: str, bodies: Iterable[bytes]) -> list[bytes]:
    """The text of a body that came in these pieces, as far as it can be read: a row for each event of a stream, else
    rows that are the text once joined. None where the body is not encoded."""
    if not codings(content_encoding):
        return []
    decoder, splitter = Decoder(content_encoding, TEXT_MAX_BYTES), EventSplitter(ROW_MAX_BYTES)
    rows = [row for body in bodies for text in decoder.feed(body) for row in splitter.feed(text)]
    rest = splitter.finish()
    return [*rows, *(rest[start : start + ROW_MAX_BYTES] for start in range(0, len(rest), ROW_MAX_BYTES))]
