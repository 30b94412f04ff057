import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway_tap.answer import AnswerReader, BadAnswer

CHUNKED = (
    b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nx-trailer: t\r\n\r\n"
)


@given(st.lists(st.integers(0, len(CHUNKED)), max_size=8))
def test_a_chunked_answer_is_read_however_it_is_cut(cuts: list[int]) -> None:
    answer, body = AnswerReader(head_only=False), b""
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(CHUNKED)], strict=True):
        answer.feed(CHUNKED[start:end])
        body += answer.take()
    assert (answer.status, answer.reason, body) == (200, b"OK", b"abcde")
    assert answer.headers == [(b"X-A", b"1"), (b"Transfer-Encoding", b"chunked")]
    assert answer.ended
    assert answer.reusable
    assert answer.length is None


def test_a_body_without_framing_ends_with_the_connection() -> None:
    answer = AnswerReader(head_only=False)
    answer.feed(b"HTTP/1.0 200 OK\r\n\r\nall of it")
    assert not answer.ended
    assert answer.until_close
    assert answer.eof()
    assert not answer.reusable
    assert answer.take() == b"all of it"


@pytest.mark.parametrize("status", [204, 304])
def test_some_answers_have_no_body(status: int) -> None:
    answer = AnswerReader(head_only=False)
    answer.feed(b"HTTP/1.1 %d X\r\ncontent-length: 5\r\n\r\n" % status)
    assert answer.ended


def test_the_answer_to_head_ends_with_its_head() -> None:
    answer = AnswerReader(head_only=True)
    answer.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
    assert (answer.ended, answer.length, answer.reusable) == (True, 5, False)


def test_a_short_body_is_no_end() -> None:
    answer = AnswerReader(head_only=False)
    answer.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc")
    assert not answer.eof()


def test_bytes_behind_the_end_spoil_the_connection() -> None:
    answer = AnswerReader(head_only=False)
    answer.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx")
    assert answer.take() == b"abc"
    assert answer.ended
    assert not answer.reusable


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 300_000,
    ],
)
def test_what_is_no_answer_is_refused_without_quoting_it(data: bytes) -> None:
    with pytest.raises(BadAnswer) as refused:
        AnswerReader(head_only=False).feed(data)
    assert "upstream" in str(refused.value)
