"""Reads a content-encoded body on the side, while it passes by: pure, incremental, and bounded.

Codings: gzip (RFC 1952, any number of members), deflate (RFC 1950, and the bare RFC 1951 that some servers send), br
(RFC 7932), zstd (RFC 8878, windows of at most 8 MB as RFC 9659 asks), and several of them one over another (RFC 9110,
8.4). What a hostile peer sends costs at most `RATIO` times its own size, once `FREE_BYTES` are decoded.
"""

import struct
import zlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final, Protocol

import brotli
from backports import zstd

STEP_BYTES: Final = 65_536
"""A decoder is asked for so much at a time; brotli gives up to half as much again."""
SLICE_BYTES: Final = 4_096
RATIO: Final = 100
"""More than a stream whose every event is flushed ever reaches (about 40)."""
FREE_BYTES: Final = 1_048_576
LAYERS_MAX: Final = 3
_ZSTD_WINDOW_LOG: Final = 23
_STORED_MAX_BYTES: Final = 65_535
_GZIP: Final = zlib.MAX_WBITS | 16
_PLAIN: Final = frozenset({"", "identity"})


class Stop(StrEnum):
    """Why no more of a body is read."""

    UNKNOWN = "unknown coding"
    DAMAGED = "damaged"
    TOO_LARGE = "too large"
    BOMB = "inflates too much"


class Layer(Protocol):
    """One coding. `pieces` raises one of `_DAMAGE` where the bytes are not of that coding. Bytes behind the end of what
    it encodes are left out where clients leave them out (gzip, deflate), and damage elsewhere."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What more bytes give, in pieces of about `STEP_BYTES`."""
        ...


_DAMAGE: Final[tuple[type[Exception], ...]] = (zlib.error, brotli.error, zstd.ZstdError, EOFError)


class Decoder:
    """One body. `stop` is None as long as all of it could be read.

    The text does not depend on how the body was cut, up to where it is damaged; of a damaged body a start is given.
    """

    __slots__ = ("_layers", "_max_bytes", "decoded_bytes", "encoded_bytes", "stop")

    def __init__(self, content_encoding: str, max_bytes: int) -> None:
        names = codings(content_encoding)
        known = len(names) <= LAYERS_MAX and all(name in _LAYERS for name in names)
        self.stop: Stop | None = None if known else Stop.UNKNOWN
        self._layers: list[Layer] = [_LAYERS[name]() for name in reversed(names)] if known else []
        self._max_bytes = max_bytes
        self.encoded_bytes = 0
        self.decoded_bytes = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The text that `data` gives, piece by piece; it must be read to its end. Never raises: `stop` says why there
        is no more."""
        start = 0
        while start < len(data) and self.stop is None:
            done = self.encoded_bytes % SLICE_BYTES
            part = data[start : start + SLICE_BYTES - done]
            by_ratio = max(FREE_BYTES, RATIO * (self.encoded_bytes - done + SLICE_BYTES))
            self.encoded_bytes += len(part)
            start += len(part)
            yield from self._bounded(part, by_ratio)

    @property
    def endable(self) -> bool:
        """The body is of a coding that `ending` knows how to end."""
        return self.stop is None and len(self._layers) == 1 and isinstance(self._layers[0], _Gzip | _Deflate)

    def ending(self, text: bytes) -> bytes:
        """Encoded bytes that end the body right here, as if it had said `text` last; empty where that cannot be done.

        It can in a gzip or deflate body whose encoder has just flushed, as encoders of streams do behind each event. A
        further gzip member would be simpler, but many clients read the first alone.
        """
        layer = self._layers[0] if self.endable else None
        return layer.ending(text) if isinstance(layer, _Gzip | _Deflate) else b""

    def _bounded(self, part: bytes, by_ratio: int) -> Iterator[bytes]:
        allowed = min(by_ratio, self._max_bytes)
        try:
            for piece in self._through(part, 0):
                room = allowed - self.decoded_bytes
                if len(piece) > room:
                    self.stop = Stop.TOO_LARGE if allowed == self._max_bytes else Stop.BOMB
                    piece = piece[:room]
                self.decoded_bytes += len(piece)
                if piece:
                    yield piece
                if self.stop is not None:
                    return
        except _DAMAGE:
            self.stop = Stop.DAMAGED

    def _through(self, data: bytes, number: int) -> Iterator[bytes]:
        if number == len(self._layers):
            yield data
            return
        for piece in self._layers[number].pieces(data):
            yield from self._through(piece, number + 1)


def codings(content_encoding: str) -> list[str]:
    """The codings that a Content-Encoding names, in the order in which they were applied; `identity` is none."""
    names = [name.strip().lower() for name in content_encoding.split(",")]
    return [name for name in names if name not in _PLAIN]


def decoded(body: bytes, content_encoding: str, max_bytes: int) -> bytes | None:
    """A whole body without its codings; None where it cannot be read to its end, or gives more than `max_bytes`."""
    if not codings(content_encoding):
        return body
    decoder = Decoder(content_encoding, max_bytes)
    text = b"".join(decoder.feed(body))
    return None if decoder.stop else text


class _Gzip:
    """Member after member; zeros behind one are padding, anything else there is no member."""

    def __init__(self) -> None:
        self._member: Any = zlib.decompressobj(_GZIP)
        self._over = False
        self._sum = self._size = 0

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data and not self._over:
            if self._member.eof:
                data = data.lstrip(b"\0")
                self._over = bool(data) and data[0] != 0x1F
                if self._over or not data:
                    return
                self._member = zlib.decompressobj(_GZIP)
                self._sum = self._size = 0
            for piece in _inflated(self._member, data):
                self._sum = zlib.crc32(piece, self._sum)
                self._size += len(piece)
                yield piece
            data = self._member.unused_data

    def ending(self, text: bytes) -> bytes:
        size = (self._size + len(text)) & 0xFFFFFFFF
        return _last_block(self._member, text, struct.pack("<II", zlib.crc32(text, self._sum), size))


class _Deflate:
    """With the header of RFC 1950, or without: the first two bytes tell."""

    def __init__(self) -> None:
        self._head = b""
        self._worker: Any = None
        self._headed = True
        self._sum = 1

    def pieces(self, data: bytes) -> Iterator[bytes]:
        if self._worker is None:
            self._head += data
            if len(self._head) < 2:
                return
            first, second = self._head[:2]
            self._headed = first & 0x0F == 8 and first >> 4 <= 7 and (first << 8 | second) % 31 == 0
            self._worker = zlib.decompressobj(zlib.MAX_WBITS if self._headed else -zlib.MAX_WBITS)
            data, self._head = self._head, b""
        for piece in () if self._worker.eof else _inflated(self._worker, data):
            self._sum = zlib.adler32(piece, self._sum)
            yield piece

    def ending(self, text: bytes) -> bytes:
        trailer = struct.pack(">I", zlib.adler32(text, self._sum)) if self._headed else b""
        return _last_block(self._worker, text, trailer) if self._worker is not None else b""


class _Brotli:
    def __init__(self) -> None:
        self._worker: Any = brotli.Decompressor()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        piece = self._worker.process(data, output_buffer_limit=STEP_BYTES)
        while piece:
            yield piece
            piece = self._worker.process(b"", output_buffer_limit=STEP_BYTES)


class _Zstd:
    """Frame after frame."""

    def __init__(self) -> None:
        self._frame = _zstd_frame()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._frame.eof:
                self._frame = _zstd_frame()
            piece = self._frame.decompress(data, STEP_BYTES)
            while piece:
                yield piece
                if self._frame.needs_input or self._frame.eof:
                    break
                piece = self._frame.decompress(b"", STEP_BYTES)
            data = self._frame.unused_data if self._frame.eof else b""


def _zstd_frame() -> Any:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})


def _last_block(worker: Any, text: bytes, trailer: bytes) -> bytes:
    """A last, stored block (RFC 1951, 3.2.4) and the trailer; empty where the encoder stands within a block or a byte,
    which only a trial can tell."""
    if len(text) > _STORED_MAX_BYTES or worker.eof:
        return b""
    block = struct.pack("<BHH", 1, len(text), len(text) ^ 0xFFFF) + text + trailer
    trial = worker.copy()
    try:
        return block if trial.decompress(block) == text and trial.eof and not trial.unused_data else b""
    except zlib.error:
        return b""


def _inflated(worker: Any, data: bytes) -> Iterator[bytes]:
    """zlib may keep a part of its output back even where it has taken all of its input."""
    piece = worker.decompress(data, STEP_BYTES)
    while piece:
        yield piece
        if len(piece) < STEP_BYTES or worker.eof:
            return
        piece = worker.decompress(worker.unconsumed_tail, STEP_BYTES)


_LAYERS: Final[dict[str, Any]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}
