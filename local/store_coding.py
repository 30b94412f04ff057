"""Pure: HTTP content codings of the store: lz4 (frames), zstd and gzip, bounded on the way in."""

import re
import zlib
from typing import Any, Final

import lz4.frame
from backports import zstd

from .store_errors import CANNOT_READ_ALL_DATA, NOT_IMPLEMENTED, TOO_MANY_BYTES, refuse

LEAST_BYTES: Final = 1024
"""Answers below this are not worth a coding."""


def decoded(body: bytes, coding: str, most_bytes: int) -> bytes:
    """`body` without its coding. StoreError where it is longer than `most_bytes`, cut short, or of a kind unknown."""
    try:
        match coding.strip().lower():
            case "" | "identity":
                plain = body
            case "lz4":
                plain = _lz4(body, most_bytes)
            case "zstd":
                plain = _members(body, most_bytes, zstd.ZstdDecompressor)
            case "gzip" | "x-gzip":
                plain = _gzip(body, most_bytes)
            case _:
                raise refuse(NOT_IMPLEMENTED, f"Content-Encoding {coding[:32]!r}: send lz4, zstd, gzip or none.")
    except (RuntimeError, zstd.ZstdError, zlib.error) as error:
        raise refuse(CANNOT_READ_ALL_DATA, f"The body is no valid {coding[:32]}.") from error
    if len(plain) > most_bytes:
        raise too_long(most_bytes)
    return plain


def too_long(most_bytes: int) -> Exception:
    return refuse(TOO_MANY_BYTES, f"The body is longer than {most_bytes} bytes: insert in smaller blocks.")


def chosen(accepted: str) -> str | None:
    """The first coding of an Accept-Encoding header that the store speaks (RFC 9110, 12.5.3; `q=0` refuses one)."""
    for entry in accepted.lower().split(","):
        name, _, weight = entry.replace(" ", "").partition(";")
        if name in ("zstd", "lz4", "gzip") and not re.fullmatch(r"q=0(\.0*)?", weight):
            return name
    return None


class Encoder:
    """One answer in a coding, piece by piece; the pieces make one frame."""

    def __init__(self, coding: str) -> None:
        self._coder: Any
        self._head = b""
        match coding:
            case "zstd":
                self._coder = zstd.ZstdCompressor(1)
            case "lz4":
                self._coder = lz4.frame.LZ4FrameCompressor()
                self._head = bytes(self._coder.begin())
            case _:
                self._coder = zlib.compressobj(1, wbits=31)

    def feed(self, plain: bytes) -> bytes:
        """What may be sent by now; may be empty."""
        head, self._head = self._head, b""
        return head + bytes(self._coder.compress(plain))

    def finish(self) -> bytes:
        """The end of the frame."""
        return self.feed(b"") + bytes(self._coder.flush())


def _lz4(body: bytes, most_bytes: int) -> bytes:
    return _members(body, most_bytes, lz4.frame.LZ4FrameDecompressor)


def _members(body: bytes, most_bytes: int, maker: type) -> bytes:
    """Clients send one frame per block: frames one after the other."""
    plain = bytearray()
    while body:
        frame = maker()
        plain += frame.decompress(body, max_length=most_bytes + 1 - len(plain))
        if len(plain) > most_bytes:
            raise too_long(most_bytes)
        if not frame.eof:
            raise refuse(CANNOT_READ_ALL_DATA, "The compressed body is cut short.")
        body = frame.unused_data or b""
    return bytes(plain)


def _gzip(body: bytes, most_bytes: int) -> bytes:
    plain = bytearray()
    while body:
        member = zlib.decompressobj(wbits=31)
        plain += member.decompress(body, most_bytes + 1 - len(plain))
        if len(plain) > most_bytes:
            raise too_long(most_bytes)
        if not member.eof:
            raise refuse(CANNOT_READ_ALL_DATA, "The compressed body is cut short.")
        body = member.unused_data
    return bytes(plain)
