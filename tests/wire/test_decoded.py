import gzip
import itertools
import random

import brotli
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from penstock.wire.decoded import ROW_MAX_BYTES, TEXT_MAX_BYTES, text_rows

EVENTS = [b"data: one\n\n", b": ping\r\n\r\n", b"data: [DONE]\n\n", b"data: half"]
CODINGS = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("coding", CODINGS)
@given(places=st.lists(st.integers(0, 200), max_size=5))
def test_a_stream_gives_a_row_for_each_event_however_it_came(coding: str, places: list[int]) -> None:
    body = CODINGS[coding](b"".join(EVENTS))
    borders = sorted({0, len(body), *(min(place, len(body)) for place in places)})
    pieces = [body[start:end] for start, end in itertools.pairwise(borders)]
    assert text_rows(coding, pieces) == EVENTS


def test_a_body_that_is_not_encoded_gives_none() -> None:
    assert text_rows("", [b"text"]) == text_rows("identity", [b"text"]) == []


def test_rows_are_the_text_once_joined_and_none_is_larger_than_a_record() -> None:
    text = b'{"content":"' + random.Random(1).randbytes(800_000).hex().encode() + b'"}'
    rows = text_rows("zstd", [zstd.compress(text)])
    assert b"".join(rows) == text
    assert max(map(len, rows)) <= ROW_MAX_BYTES


def test_of_a_long_text_the_beginning_is_kept() -> None:
    text = b"".join(b"%d " % number for number in range(1_500_000))
    assert b"".join(text_rows("gzip", [gzip.compress(text)])) == text[:TEXT_MAX_BYTES]


def test_what_cannot_be_read_gives_none() -> None:
    assert text_rows("gzip", [b"no gzip"]) == text_rows("pack200-gzip", [b"x"]) == []
