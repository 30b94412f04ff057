"""Bytes are found however they are written, at a cost that does not multiply."""

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from penstock.wire.escapes import Haystack

NEEDLE = st.text(st.sampled_from('xyz/"\\%é'), min_size=4, max_size=9).map(str.encode)


def ways(byte: int) -> list[bytes]:
    """Every way to write one byte."""
    known = [bytes([byte]), b"\\u00%02x" % byte, b"\\u00%02X" % byte, b"%%%02x" % byte, b"%%%02X" % byte]
    return [*known, b"\\" + bytes([byte])] if byte in b'/"\\' else known


PICKS = st.lists(st.integers(0, 5), min_size=60, max_size=60)


@given(needle=NEEDLE, picks=PICKS, around=st.sampled_from([b"", b"xyz"]))
def test_every_mixture_is_found(needle: bytes, picks: list[int], around: bytes) -> None:
    written = b"".join(ways(byte)[pick % len(ways(byte))] for byte, pick in zip(needle, picks, strict=False))
    if re.search(rb"\\\\|%%|%\\", written):  # such a text has several readings
        return
    body = around + written + around
    covered = {at for start, end in Haystack(body).find(needle) for at in range(start, end)}
    assert set(range(len(around), len(around) + len(written))) <= covered


@given(body=st.binary(max_size=200), needle=st.binary(min_size=1, max_size=3))
def test_what_stands_as_it_is_is_always_found(body: bytes, needle: bytes) -> None:
    places = Haystack(body).find(needle)
    assert (needle in body) <= any(body[start:end] == needle for start, end in places)
    assert all(0 <= start < end <= len(body) for start, end in places)


def test_looking_for_thousands_costs_little_more_than_for_one() -> None:
    body = b'{"text":"one \\n two \\" three %20"}' * 100
    haystack, began_s = Haystack(body), time.perf_counter()
    for number in range(4000):
        assert haystack.find(b"credential-%d" % number) == []
    assert time.perf_counter() - began_s < 1
