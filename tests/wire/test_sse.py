"""Streams are cut behind blank lines, without a changed byte, wherever the reads were cut."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.wire.sse import EventSplitter, event_data

from .conftest import Cassette

ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.sampled_from(
    [b"data: {}", b"data:x", b": ping", b"event: a", b"id", b"", b"\xef\xbb\xbfdata: 1", "é".encode()]
)
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=30).map(lambda lines: b"".join(line + end for line, end in lines))


def cut(stream: bytes, places: list[int], limit: int = 1000) -> tuple[list[bytes], bytes]:
    splitter = EventSplitter(limit)
    pieces: list[bytes] = []
    for start, end in pairwise([0, *sorted(places), len(stream)]):
        pieces += splitter.feed(stream[start:end])
        assert b"".join(pieces) + splitter.rest == stream[:end]
    return pieces, splitter.finish()


@given(stream=st.one_of(STREAMS, st.binary(max_size=60)), data=st.data(), limit=st.sampled_from([8, 9, 20, 1000]))
def test_pieces_do_not_depend_on_the_cuts(stream: bytes, data: st.DataObject, limit: int) -> None:
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=10))
    whole = cut(stream, [], limit)
    assert cut(stream, places, limit) == whole
    assert cut(stream, list(range(len(stream))), limit) == whole
    assert b"".join(whole[0]) + whole[1] == stream
    assert all(len(piece) <= limit for piece in whole[0])


@given(stream=STREAMS)
def test_each_piece_ends_with_the_only_blank_line_behind_its_text(stream: bytes) -> None:
    for piece in cut(stream, [])[0]:
        assert re.search(rb"(\r\n|\n|\r)(\r\n|\n|\r)\Z", piece)
        lines = piece.lstrip(b"\r\n").splitlines()
        assert all(lines[:-1]), "no blank line inside"


@pytest.mark.parametrize(
    ("stream", "pieces", "rest"),
    [
        (b"data: 1\n\ndata: 2\n\n", [b"data: 1\n\n", b"data: 2\n\n"], b""),
        (b"data: 1\r\n\r\ndata: 2", [b"data: 1\r\n\r\n"], b"data: 2"),
        (b"data: 1\r\rdata: 2\r\r", [b"data: 1\r\r"], b"data: 2\r\r"),
        (b"data: 1\r\n\ndata: 2\n\r\n", [b"data: 1\r\n\n", b"data: 2\n\r\n"], b""),
        (b"\xef\xbb\xbfdata: 1\n\n: ping\n\n", [b"\xef\xbb\xbfdata: 1\n\n", b": ping\n\n"], b""),
        (b"\n\ndata: 1\n\n\n", [b"\n\n", b"data: 1\n\n"], b"\n"),
    ],
)
def test_line_ends(stream: bytes, pieces: list[bytes], rest: bytes) -> None:
    assert cut(stream, []) == (pieces, rest)


def test_an_event_without_end_is_given_out_in_bounded_pieces() -> None:
    splitter = EventSplitter(100)
    pieces = splitter.feed(b"data: " + b"x" * 500)
    assert [len(piece) for piece in pieces] == [100] * 5
    assert not splitter.at_border
    assert splitter.feed(b"\n\n") == [b"x" * 6 + b"\n\n"]
    assert splitter.at_border


def test_border() -> None:
    splitter = EventSplitter()
    assert splitter.at_border
    splitter.feed(b"data: 1")
    assert not splitter.at_border
    splitter.feed(b"\n\n")
    assert splitter.at_border
    splitter.feed(b"data: 2\r\n\r")
    assert not splitter.at_border, "the other half of the CRLF may follow"


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: {}\n\n", b"{}"),
        (b"data:{}\r\n\r\n", b"{}"),
        (b"event: x\ndata: 1\ndata:  2\ndata\n\n", b"1\n 2\n"),
        (b"\xef\xbb\xbfdata: 1\n\n", b"1"),
        (b": comment\n\n", b""),
        (b"event: ping\n\n", b""),
        (b"database: 1\n\n", b""),
        (b"data: 1\r\r", b"1"),
        (b"data: half", b"half"),
    ],
)
def test_data(event: bytes, data: bytes) -> None:
    assert event_data(event) == data


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_recorded_streams_come_out_whole(cassettes: list[Cassette], data: st.DataObject) -> None:
    streams = [one.body for one in cassettes if one.is_stream]
    stream = data.draw(st.sampled_from(streams))
    size = data.draw(st.integers(1, 4000))
    pieces, rest = cut(stream, list(range(0, len(stream), size)), 1_000_000)
    assert (pieces, rest) == cut(stream, [], 1_000_000)
    assert not rest.strip()
