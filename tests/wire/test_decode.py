"""Encoded bodies, however they are cut, whatever is wrong with them."""

import gzip
import itertools
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Final

import brotli
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.wire.decode import FREE_BYTES, RATIO, SLICE_BYTES, Decoder, Stop, codings, decoded

MAX_BYTES: Final = 8_388_608
BOMB_BYTES: Final = 200_000_000
Encode = Callable[[bytes], bytes]


def raw_deflate(text: bytes) -> bytes:
    worker = zlib.compressobj(wbits=-15)
    return worker.compress(text) + worker.flush()


def two_members(text: bytes) -> bytes:
    half = len(text) // 2
    return gzip.compress(text[:half]) + b"\0" * 7 + gzip.compress(text[half:])


def two_frames(text: bytes) -> bytes:
    half = len(text) // 2
    return zstd.compress(text[:half]) + zstd.compress(text[half:])


ENCODERS: Final[dict[str, tuple[str, Encode]]] = {
    "gzip": ("gzip", gzip.compress),
    "members": ("x-gzip", two_members),
    "zlib": ("deflate", zlib.compress),
    "raw": ("Deflate", raw_deflate),
    "br": ("br", lambda text: brotli.compress(text, quality=3)),
    "zstd": ("zstd", zstd.compress),
    "frames": ("ZSTD", two_frames),
    "stacked": ("gzip, br", lambda text: brotli.compress(gzip.compress(text), quality=3)),
    "three": ("zstd,identity , gzip, deflate", lambda text: zlib.compress(gzip.compress(zstd.compress(text)))),
}
EVERY = pytest.mark.parametrize(("name", "encode"), ENCODERS.values(), ids=ENCODERS)

texts = st.one_of(
    st.binary(max_size=400), st.builds(lambda part, times: part * times, st.binary(max_size=40), st.integers(0, 9000))
)


def read(decoder: Decoder, pieces: list[bytes]) -> bytes:
    return b"".join(text for piece in pieces for text in decoder.feed(piece))


def cut(body: bytes, places: list[int]) -> list[bytes]:
    borders = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(borders)]


@EVERY
@settings(max_examples=60)
@given(text=texts, places=st.lists(st.integers(0, 1 << 20), max_size=8))
def test_any_cut_gives_the_same_text(name: str, encode: Encode, text: bytes, places: list[int]) -> None:
    decoder = Decoder(name, MAX_BYTES)
    assert read(decoder, cut(encode(text), places)) == text
    assert decoder.stop is None
    assert decoder.decoded_bytes == len(text)


def test_all_that_a_part_says_is_given_at_once() -> None:
    body = gzip.compress(b"a" * 900_000)
    for end in range(len(body)):
        known = zlib.decompressobj(wbits=31).decompress(body[:end])
        assert len(read(Decoder("gzip", MAX_BYTES), [body[:end]])) == len(known)


@EVERY
def test_every_byte_alone_gives_the_same_text(name: str, encode: Encode) -> None:
    text = bytes(range(256)) * 3 + b"a" * 300
    body = encode(text)
    assert read(Decoder(name, MAX_BYTES), [body[place : place + 1] for place in range(len(body))]) == text


@EVERY
@settings(max_examples=40)
@given(max_bytes=st.integers(0, 3000), places=st.lists(st.integers(0, 1 << 20), max_size=8))
def test_a_bound_cuts_at_the_same_byte_however_the_body_was_cut(
    name: str, encode: Encode, max_bytes: int, places: list[int]
) -> None:
    text = bytes(range(256)) * 8
    decoder = Decoder(name, max_bytes)
    assert read(decoder, cut(encode(text), places)) == text[:max_bytes]
    assert decoder.stop == (Stop.TOO_LARGE if max_bytes < len(text) else None)


@EVERY
@settings(max_examples=60)
@given(
    text=texts,
    place=st.integers(0, 1 << 20),
    bit=st.integers(0, 7),
    places=st.lists(st.integers(0, 1 << 20), max_size=4),
)
def test_a_damaged_body_never_raises_and_never_grows(
    name: str, encode: Encode, text: bytes, place: int, bit: int, places: list[int]
) -> None:
    body = bytearray(encode(text))
    body[place % len(body)] ^= 1 << bit
    decoder = Decoder(name, MAX_BYTES)
    assert len(read(decoder, cut(bytes(body), places))) <= max(FREE_BYTES, RATIO * (len(body) + SLICE_BYTES))


@given(name=st.sampled_from([name for name, _ in ENCODERS.values()]), body=st.binary(max_size=300))
def test_bytes_of_no_coding_never_raise(name: str, body: bytes) -> None:
    read(Decoder(name, MAX_BYTES), [body])


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_a_body_that_is_not_encoded_at_all_is_damaged(name: str) -> None:
    decoder = Decoder(name, MAX_BYTES)
    read(decoder, [b'{"usage":{"prompt_tokens":1,"completion_tokens":2}}' * 8])
    assert decoder.stop is Stop.DAMAGED


def test_what_came_before_the_damage_was_given() -> None:
    worker = zlib.compressobj(wbits=31)
    first = worker.compress(b"data: 1\n\n") + worker.flush(zlib.Z_SYNC_FLUSH)
    decoder = Decoder("gzip", MAX_BYTES)
    assert read(decoder, [first, b"\xff\xff\xff\xff", b"more"]) == b"data: 1\n\n"
    assert decoder.stop is Stop.DAMAGED


@pytest.mark.parametrize("name", ["compress", "gzip, aes128gcm", "gzip, gzip, gzip, gzip", "pack200-gzip"])
def test_a_coding_that_is_not_known_is_not_read(name: str) -> None:
    decoder = Decoder(name, MAX_BYTES)
    assert read(decoder, [gzip.compress(b"text")]) == b""
    assert decoder.stop is Stop.UNKNOWN


@pytest.mark.parametrize(("name", "encode"), [ENCODERS[known] for known in ("gzip", "members", "zlib", "raw")])
def test_what_stands_behind_the_end_is_left_out(name: str, encode: Encode) -> None:
    for pieces in ([encode(b"text") + b"garbage"], [encode(b"text"), b"garbage", b"\x1f\x8b"]):
        decoder = Decoder(name, MAX_BYTES)
        assert read(decoder, pieces) == b"text"
        assert decoder.stop is None


@pytest.mark.parametrize("known", ["br", "zstd"])
def test_what_stands_behind_the_end_is_damage_for_br_and_zstd(known: str) -> None:
    name, encode = ENCODERS[known]
    decoder = Decoder(name, MAX_BYTES)
    assert read(decoder, [encode(b"text"), b"garbage"]) == b"text"
    assert decoder.stop is Stop.DAMAGED


def bomb(name: str) -> bytes:
    """200 MB of one letter, by each coding's own encoder, made in steps."""
    step, steps = b"a" * 1_000_000, BOMB_BYTES // 1_000_000
    if name == "br":
        worker = brotli.Compressor(quality=5)
        return b"".join([*(worker.process(step) for _ in range(steps)), worker.finish()])
    if name == "zstd":
        frame = zstd.ZstdCompressor()
        return b"".join([*(frame.compress(step) for _ in range(steps)), frame.flush()])
    deflate = zlib.compressobj(wbits=31 if name == "gzip" else 15)
    return b"".join([*(deflate.compress(step) for _ in range(steps)), deflate.flush()])


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_a_bomb_of_200_mb_is_stopped_with_flat_memory(name: str) -> None:
    body = bomb(name.partition(",")[0])
    if "," in name:
        body = gzip.compress(body)
    decoder = Decoder(name, MAX_BYTES)
    seen = 0
    tracemalloc.start()
    try:
        for piece in decoder.feed(body):
            seen += len(piece)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert decoder.stop is Stop.BOMB or decoder.stop is Stop.TOO_LARGE
    assert seen == decoder.decoded_bytes <= MAX_BYTES
    assert peak_bytes < 1_000_000


@settings(max_examples=10, deadline=None)
@given(places=st.lists(st.integers(0, 1 << 20), max_size=6))
@pytest.mark.parametrize("name", ["gzip", "br", "zstd"])
def test_a_bomb_is_stopped_at_the_same_byte_however_it_was_cut(name: str, places: list[int]) -> None:
    body = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstd.compress}[name](b"a" * 6_000_000)
    decoder = Decoder(name, MAX_BYTES)
    assert len(read(decoder, cut(body, places))) == max(
        FREE_BYTES, RATIO * SLICE_BYTES * -(-decoder.encoded_bytes // SLICE_BYTES)
    )
    assert decoder.stop is Stop.BOMB


def test_a_window_beyond_eight_megabytes_is_refused() -> None:
    options = {zstd.CompressionParameter.window_log: 25, zstd.CompressionParameter.enable_long_distance_matching: 1}
    worker = zstd.ZstdCompressor(options=options)
    decoder = Decoder("zstd", MAX_BYTES)
    read(decoder, [worker.compress(b"text") + worker.flush(zstd.ZstdCompressor.FLUSH_BLOCK)])
    assert decoder.stop is Stop.DAMAGED


@pytest.mark.parametrize(
    ("said", "names"), [("", []), ("identity", []), (" GZIP ", ["gzip"]), ("gzip , BR,identity", ["gzip", "br"])]
)
def test_the_codings_of_a_header(said: str, names: list[str]) -> None:
    assert codings(said) == names


def test_a_whole_body() -> None:
    assert decoded(b"text", "identity", 1) == b"text"
    assert decoded(gzip.compress(b"text"), "gzip", 4) == b"text"
    assert decoded(gzip.compress(b"text"), "gzip", 3) is None
    assert decoded(b"not brotli at all" * 20, "br", 1000) is None


def flushed(wbits: int, events: list[bytes]) -> tuple[list[bytes], bytes]:
    """Each event as an encoder that flushes behind it gives it, and the body's own end."""
    worker = zlib.compressobj(wbits=wbits)
    return [worker.compress(event) + worker.flush(zlib.Z_SYNC_FLUSH) for event in events], worker.flush()


@pytest.mark.parametrize(("name", "wbits"), [("gzip", 31), ("deflate", 15), ("deflate", -15)])
@given(events=st.lists(st.binary(min_size=1, max_size=200), max_size=6), text=st.binary(max_size=300))
def test_a_flushed_body_is_ended_as_if_it_had_said_so(name: str, wbits: int, events: list[bytes], text: bytes) -> None:
    pieces, _ = flushed(wbits, [b"first", *events])
    decoder = Decoder(name, MAX_BYTES)
    read(decoder, pieces)
    whole = b"".join(pieces) + decoder.ending(text)
    client = zlib.decompressobj(wbits)
    assert client.decompress(whole) == b"".join([b"first", *events, text])
    assert client.eof
    assert not client.unused_data


@given(events=st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=4), cut_bytes=st.integers(1, 60))
def test_a_body_is_never_ended_within_a_block(events: list[bytes], cut_bytes: int) -> None:
    body = b"".join(flushed(31, events)[0])
    body = body[: max(1, len(body) - cut_bytes)]
    decoder = Decoder("gzip", MAX_BYTES)
    text = read(decoder, [body])
    ending = decoder.ending(b"end")
    if ending:
        assert gzip.decompress(body + ending) == text + b"end"


def test_a_body_that_has_ended_is_not_ended_again() -> None:
    decoder = Decoder("gzip", MAX_BYTES)
    read(decoder, [gzip.compress(b"text")])
    assert decoder.ending(b"end") == b""


@pytest.mark.parametrize("name", ["br", "zstd", "gzip, gzip", "unknown"])
def test_other_codings_cannot_be_ended(name: str) -> None:
    decoder = Decoder(name, MAX_BYTES)
    assert not decoder.endable
    assert decoder.ending(b"end") == b""
