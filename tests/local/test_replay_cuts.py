"""Where replayed bodies are cut."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.local.replay_cuts import CUTS, Cut, cut_body, without_usage


@given(st.binary(max_size=400), st.sampled_from(CUTS), st.integers(0, 1000))
def test_pieces_join_to_the_body(body: bytes, cut: Cut, seed: int) -> None:
    pieces = cut_body(body, cut, seed)
    assert b"".join(pieces) == body
    assert all(pieces)


def test_random_cuts_fall_inside_characters() -> None:
    body = "水力発電所🌊".encode() * 20
    pieces = cut_body(body, "random", 3)
    assert any(piece[0] & 0xC0 == 0x80 for piece in pieces)
    assert pieces == cut_body(body, "random", 3) != cut_body(body, "random", 4)


def test_events_end_with_their_blank_line() -> None:
    body = b"event: a\ndata: 1\n\ndata: 2\r\n\r\ndata: 3\r\rrest"
    assert cut_body(body, "events") == [b"event: a\ndata: 1\n\n", b"data: 2\r\n\r\n", b"data: 3\r\r", b"rest"]


def test_usage_is_dropped_and_the_rest_stays() -> None:
    first = b'data: {"choices":[{"delta":{"content":"a"}}],"usage":null}\n\n'
    last = b'data: {"choices":[], "usage":{"completion_tokens":1}}\n\n'
    assert without_usage(first + last + b"data: [DONE]\n\n", streamed=True) == first + b"data: [DONE]\n\n"
    assert without_usage(b'{"id":"x","usage":{"a":1}}', streamed=False) == b'{"id":"x"}'
    start = b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","usage":{"input_tokens":3}}}\n\n'
    assert without_usage(start, streamed=True) == (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"m"}}\n\n'
    )
