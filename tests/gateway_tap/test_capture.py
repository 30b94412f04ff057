"""However a stream is cut into reads, the same events are recorded and the same figures found."""

import gzip
import hashlib
import itertools
import zlib
from typing import Any

import brotli
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway_tap.capture import Capture
from penstock.gateway_tap.tape import Tape
from penstock.schemas.frames import PART_MAX_BYTES, READ_MAX_BYTES, Event, EventWriter, read_event

STAMP = b"2026-11-24T05:45:00.000001Z"
SECRET = b"sk-secret-51cret"
STREAM = [
    b'data: {"id":"r","model":"m","choices":[{"delta":{"content":"a"},"finish_reason":null}],"usage":null}\n\n',
    b": comment\r\n\r\n",
    b'data: {"choices":[{"index":0,"delta":{"content":"sk-secret-51cret"},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\r\n\r\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n',
    b"data: [DONE]\n\n",
]


class Sink:
    def __init__(self) -> None:
        self.events: list[Event] = []
        counter = itertools.count()
        writer = EventWriter("e", "/tap/t", "key:k")
        self.told: list[bytes] = []
        self.hidden = 0
        self.tape = Tape(writer, self.take, lambda: b"%024d" % next(counter), [SECRET], self.ahead)

    def take(self, events: list[bytes]) -> None:
        self.events += map(read_event, events)
        if events:
            self.told, self.hidden = [], 0

    def ahead(self, data: bytes, hidden: int) -> None:
        self.told.append(data)
        self.hidden = hidden

    @property
    def bodies(self) -> list[bytes]:
        return [event.body for event in self.events]


def pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted(cut % (len(body) + 1) for cut in cuts)
    return [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]


@given(st.lists(st.integers(0, 10_000), max_size=12), st.sampled_from([b"", b"data: cut off", b"\r"]))
def test_a_stream_gives_the_same_events_however_it_is_cut(cuts: list[int], rest: bytes) -> None:
    body = b"".join(STREAM) + rest
    sink = Sink()
    capture = Capture(sink.tape, "openai.chat", sse=True, encoding=b"")
    for piece in pieces(body, cuts):
        if piece:
            capture.answer(piece, STAMP)
    capture.end(STAMP)
    masked = [event.replace(SECRET, b"*" * len(SECRET)) for event in [*STREAM, rest] if event]
    assert sink.bodies == masked
    assert [event.seq for event in sink.events] == list(range(len(masked)))
    assert [event.redacted for event in sink.events if event.redacted] == ["49-65"]
    figures = capture.figures()
    assert figures["chunk_count"] == len(masked)
    assert figures["response_sha256"] == figures["client_sha256"] == hashlib.sha256(body).hexdigest()
    assert figures["usage"] == [{"prompt_tokens": 3, "completion_tokens": 2}]
    assert (figures["finish_reason"], figures["model"], figures["response_id"]) == ("stop", "m", "r")


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=8), st.integers(1, 300))
def test_a_cut_parts_given_and_withheld_at_an_event_border(cuts: list[int], decided: int) -> None:
    body, sink, given_bytes = b"".join(STREAM), Sink(), b""
    capture = Capture(sink.tape, "openai.chat", sse=True, encoding=b"")
    done, received = False, b""
    for piece in pieces(body, [*cuts, decided]):
        if done or not piece:
            continue
        received += piece
        if len(received) <= decided:
            capture.answer(piece, STAMP)
            given_bytes += piece
            continue
        if capture.at_border:
            received = received[: -len(piece)]
            break
        upto = capture.cut(piece, STAMP)
        given_bytes += piece if upto is None else piece[:upto]
        done = upto is not None
    capture.end(STAMP)
    capture.made_here(b"data: end\n\n", STAMP)
    given_text = given_bytes + b"data: end\n\n"
    figures = capture.figures()
    assert figures["client_sha256"] == hashlib.sha256(given_text).hexdigest()
    assert figures["client_bytes"] == len(given_text)
    assert figures["response_sha256"] == hashlib.sha256(received).hexdigest()
    mask = b"*" * len(SECRET)
    assert b"".join(e.body for e in sink.events if e.origin == "upstream") == received.replace(SECRET, mask)
    assert b"".join(e.body for e in sink.events if not e.withheld) == given_text.replace(SECRET, mask)
    if done:
        ends = set(itertools.accumulate(map(len, STREAM)))
        assert len(given_bytes) in ends


def test_other_bodies_are_recorded_in_reads() -> None:
    sink = Sink()
    capture = Capture(sink.tape, "opaque", sse=False, encoding=b"")
    body = bytes(range(256)) * 600
    capture.answer(body[:100_000], STAMP)
    capture.answer(body[100_000:], STAMP)
    capture.end(STAMP)
    assert b"".join(sink.bodies) == body
    assert max(map(len, sink.bodies)) <= READ_MAX_BYTES
    assert not capture.cuttable


def test_an_event_larger_than_a_record_is_cut() -> None:
    sink = Sink()
    capture = Capture(sink.tape, "opaque", sse=True, encoding=b"")
    body = b"data: " + b"x" * (2 * PART_MAX_BYTES) + b"\n\n"
    for start in range(0, len(body), READ_MAX_BYTES):
        capture.answer(body[start : start + READ_MAX_BYTES], STAMP)
    capture.end(STAMP)
    assert b"".join(sink.bodies) == body
    assert max(map(len, sink.bodies)) <= PART_MAX_BYTES
    assert capture.at_border


@pytest.mark.parametrize("sse", [True, False])
@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        (b"gzip", gzip.compress),
        (b"deflate", zlib.compress),
        (b"x-gzip", gzip.compress),
        (b"br", brotli.compress),
        (b"zstd", zstd.compress),
        (b"gzip, br", lambda text: brotli.compress(gzip.compress(text))),
    ],
)
def test_an_encoded_body_is_recorded_as_it_came_and_read_on_the_side(sse: bool, encoding: bytes, encode: Any) -> None:
    plain = b"".join(STREAM) if sse else b'{"id":"r","model":"m","usage":{"prompt_tokens":3},"choices":[]}'
    body, sink = encode(plain), Sink()
    capture = Capture(sink.tape, "openai.chat", sse=sse, encoding=encoding)
    for start in range(0, len(body), 17):
        capture.answer(body[start : start + 17], STAMP)
    capture.end(STAMP)
    assert b"".join(sink.bodies) == body
    figures = capture.figures()
    assert figures["model"] == "m"
    assert figures["usage"][0]["prompt_tokens"] == 3
    assert figures["chunk_count"] == (len(STREAM) if sse else len(sink.bodies))
    assert {event.coding for event in sink.events} == {encoding.decode()}
    assert capture.cuttable == (sse and encoding in (b"gzip", b"deflate", b"x-gzip"))
    assert capture.ending("used up", "budget_exceeded") == b""


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"br", b"not brotli at all" * 9),
        (b"pack200-gzip", b"\x0b\x02\x80opaque\x03"),
        (b"gzip", b"not gzip at all"),
        (b"gzip", gzip.compress(bytes(200_000_000))),
        (b"", b"x" * 9_000_000),
        (b"", b"[[[[" * 1000),
    ],
)
def test_what_cannot_be_read_says_nothing_and_is_recorded(encoding: bytes, body: bytes) -> None:
    sink = Sink()
    capture = Capture(sink.tape, "openai.chat", sse=False, encoding=encoding)
    capture.answer(body, STAMP)
    capture.end(STAMP)
    assert b"".join(sink.bodies) == body
    assert capture.figures()["usage"] == []


@given(st.lists(st.sampled_from(STREAM), max_size=6), st.lists(st.integers(0, 600), max_size=12), st.booleans())
def test_whenever_it_stops_what_the_client_has_is_recorded_or_told(
    stream: list[bytes], cuts: list[int], sse: bool
) -> None:
    """But for the caller's own credential, of which no part is told."""
    sink, body, given_bytes = Sink(), b"".join(stream), b""
    capture = Capture(sink.tape, "openai.chat", sse=sse, encoding=b"")
    bounds = [0, *sorted(min(cut, len(body)) for cut in cuts)]
    for start, end in itertools.pairwise(bounds):
        if start == end:
            continue
        given_bytes += body[start:end]
        capture.answer(body[start:end], STAMP)
        told = b"".join(sink.told)
        recorded = b"".join(event.body for event in sink.events)
        whole = recorded + told
        assert len(whole) + sink.hidden == len(given_bytes)
        assert not any(SECRET[:n] == told[-n:] for n in range(1, len(SECRET)))
        assert all(one in (other, b"*"[0]) for one, other in zip(whole, given_bytes, strict=False))
        if SECRET[:1] not in given_bytes:
            assert whole == given_bytes
