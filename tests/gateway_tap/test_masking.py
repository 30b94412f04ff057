"""Masking: nothing of a credential is published, wherever a body is cut, and nothing else changes."""

from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway_tap.masking import Masker, cut_places, written

KEY = b"sk-live-0123456789abcdef"
WAYS = (
    KEY,
    KEY.replace(b"-", b"%2D"),
    KEY.replace(b"s", rb"\u0073"),
    b"".join(rb"\u%04x" % byte for byte in KEY),
)


@given(
    st.lists(st.sampled_from([*WAYS, b"plain text ", b"\\", b"%", KEY[:-1], b"\xff\x00"]), max_size=6),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_a_credential_is_masked_wherever_it_is_cut(parts: list[bytes], cuts: list[int]) -> None:
    body = b"".join(parts)
    bounds = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    masker = Masker([KEY])
    pieces = [masker.feed(body[start:end]) for start, end in pairwise(bounds)]
    pieces.append(masker.finish())
    published = b"".join(content for content, _ in pieces)
    whole, _ = Masker([KEY]).whole(body)
    assert published == whole
    assert len(published) == len(body)
    for content, places in pieces:
        assert all(content[start:end] == b"*" * (end - start) for start, end in places)
    assert KEY not in published


def test_a_chosen_word_blots_out_nothing() -> None:
    body = b'{"usage":{"completion_tokens":7}}'
    for chosen in (b"completion_tokens", b'"completion_tokens"', b'"usage":{', b"usage"):
        assert Masker([chosen]).whole(body) == (body, [])


def test_a_record_keeps_its_syntax() -> None:
    record = {"path": "/v1/" + KEY.decode(), "headers": {"a": KEY.decode()}, "list": [KEY.decode(), 3], "model": "x"}
    masked = orjson.loads(Masker([KEY]).record(orjson.dumps(record)))
    stars = "*" * len(KEY)
    assert masked == {"path": "/v1/" + stars, "headers": {"a": stars}, "list": [stars, 3], "model": "x"}


def test_places_are_cut_with_their_piece() -> None:
    assert cut_places([(2, 8), (10, 12)], 4, 11) == [(0, 4), (6, 7)]


def test_places_are_written_as_a_member() -> None:
    assert written([]) == b""
    assert written([(1, 3), (7, 9)]) == b',"redacted":"1-3,7-9"'


@pytest.mark.parametrize(
    ("end", "held"),
    [
        (b"plain words, and a full stop.", 0),
        (b"a list of sk and sky", 0),
        (b"ends with s", 1),
        (b"the key is sk-live", 7),
        (b"the key is " + KEY[:-1], len(KEY) - 1),
        (b"the key is " + KEY, 0),
        (rb'{"content":"a \"quoted\" word\n', 0),
        (rb'{"content":"\u0073k', 7),
        (rb'{"content":"sk\u00', 6),
        (b"percent %73k%2", 6),
        (b"half an escape \\", 1),
    ],
)
def test_only_what_may_begin_a_credential_is_held_back(end: bytes, held: int) -> None:
    masker = Masker([KEY])
    published, _ = masker.feed(end)
    assert masker.held_bytes == held
    assert len(published) == len(end) - held
    assert published + masker.finish()[0] == Masker([KEY]).whole(end)[0]


@given(st.lists(st.sampled_from([*WAYS, b"plain ", b"s", b"sk", b"\\", b"\\\\", b"%", b"\n"]), max_size=8), st.data())
def test_what_is_published_never_holds_the_beginning_of_a_credential_that_follows(
    parts: list[bytes], data: st.DataObject
) -> None:
    body = b"".join(parts)
    cut = data.draw(st.integers(0, len(body)))
    published, _ = Masker([KEY]).feed(body[:cut])
    assert published == Masker([KEY]).whole(body)[0][: len(published)]
