"""Answers that were damaged at random: read the same however they are cut, never with an error of our own, and as h11
reads them where the connection would be used again."""

from itertools import pairwise
from typing import Final

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.gateway_tap.answer import AnswerReader, BadAnswer

WHOLE: Final = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    b"HTTP/1.1 429 Slow Down\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
]
TOKENS: Final = [
    *(b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b";", b"0", b"5", b"ffffffffffffffffff", b"-1", b"+5", b"0x5"),
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: 6\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
    ),
    *(
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"Connection: close\r\n",
        b"0\r\n\r\n",
        b"\xff",
        b"chunked",
    ),
]
Edit = tuple[int, int, bytes]
edits = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 4), st.sampled_from([b"", *TOKENS])), max_size=3)


def damaged(whole: bytes, changes: list[Edit]) -> bytes:
    for at, dropped, put in changes:
        place = at % (len(whole) + 1)
        whole = whole[:place] + put + whole[place + dropped :]
    return whole


def read(pieces: list[bytes]) -> tuple[object, ...]:
    """What the reader makes of it; a bad answer is the same wherever its damage was met."""
    answer, body = AnswerReader(head_only=False), b""
    try:
        for piece in pieces:
            answer.feed(piece)
            body += answer.take()
            if answer.ended and not answer.reusable:
                break
    except BadAnswer:
        return ("bad",)
    reusable = answer.ended and answer.reusable
    ended = answer.ended or answer.eof()
    return (answer.status, body, ended, reusable)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(WHOLE), edits, st.lists(st.integers(0, 200), max_size=5))
def test_a_damaged_answer_reads_the_same_however_it_is_cut(whole: bytes, changes: list[Edit], cuts: list[int]) -> None:
    data = damaged(whole, changes)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[start:end] for start, end in pairwise(places)]
    at_once, in_pieces = read([data]), read(pieces)
    if "bad" not in (at_once[0], in_pieces[0]):
        assert in_pieces[:3] == at_once[:3]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(WHOLE), edits)
def test_what_is_used_again_is_read_as_h11_reads_it(whole: bytes, changes: list[Edit]) -> None:
    data = damaged(whole, changes)
    status, *rest = read([data])
    if status == "bad" or not rest[2]:
        return
    judge, body = h11.Connection(h11.CLIENT), b""
    judge.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    judge.send(h11.EndOfMessage())
    judge.receive_data(data)
    try:
        while not isinstance(event := judge.next_event(), h11.EndOfMessage):
            assert event is not h11.NEED_DATA, "h11 waits for more of an answer that the tap calls complete"
            if isinstance(event, h11.Response):
                assert event.status_code == status
            elif isinstance(event, h11.Data):
                body += event.data
    except h11.RemoteProtocolError:
        return
    assert body == rest[0]
    assert judge.trailing_data[0].strip(b"\r\n") == b"", "h11 sees bytes behind an answer whose connection is kept"
