"""Pieces of a streamed array do not depend on reads, join to the stream, are bounded, and may be ended in between."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.wire.json_array import ArraySplitter, element

TEXT = st.text(st.sampled_from('a"\\{}[], \n\u00e9')) | st.text(max_size=5)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ELEMENTS = st.lists(st.dictionaries(TEXT, VALUE, max_size=3), max_size=5)
SPACE = st.text(" \t\r\n", max_size=3)
CUTS = st.lists(st.integers(0, 400), max_size=12)


def written(elements: list[object], spaces: list[str], indent: int | None) -> bytes:
    """An array as a server may write it: any white space between, elements on one line or many."""
    gap = spaces[0] if spaces else ""
    shown = [json.dumps(one, indent=indent, ensure_ascii=False) for one in elements]
    return f"{gap}[{gap}{f'{gap},{gap}'.join(shown)}{gap}]{gap}".encode()


def fed(data: bytes, cuts: list[int], max_bytes: int = 1 << 20) -> tuple[list[bytes], ArraySplitter]:
    splitter, pieces, start = ArraySplitter(max_bytes), [], 0
    for cut in [*sorted(cuts), len(data)]:
        pieces += splitter.feed(data[start:cut])
        start = max(start, cut)
    return pieces, splitter


@given(ELEMENTS, st.lists(SPACE, max_size=1), st.sampled_from([None, 2]), CUTS)
def test_a_piece_is_an_element(elements: list[object], spaces: list[str], indent: int | None, cuts: list[int]) -> None:
    data = written(elements, spaces, indent)
    pieces, splitter = fed(data, cuts)
    assert [json.loads(element(piece)) for piece in pieces[:-1]] == elements
    assert pieces[-1].strip() in (b"]", b"[]") or (not elements and pieces[-1].split() == [b"[", b"]"])
    assert b"".join(pieces) + splitter.rest == data
    assert splitter.at_border


@given(st.binary() | ELEMENTS.map(lambda found: written(found, [], None)), CUTS, st.integers(1, 40))
def test_pieces_do_not_depend_on_reads_and_are_bounded(data: bytes, cuts: list[int], max_bytes: int) -> None:
    pieces, splitter = fed(data, cuts, max_bytes)
    whole, other = fed(data, [], max_bytes)
    assert pieces == whole
    assert (splitter.rest, splitter.at_border) == (other.rest, other.at_border)
    assert b"".join(pieces) + splitter.finish() == data
    assert all(0 < len(piece) <= max_bytes for piece in pieces)
    assert other.rest_bytes <= max_bytes
    assert (splitter.rest_bytes, splitter.finish()) == (0, b"")


@given(ELEMENTS, st.lists(SPACE, max_size=1), st.integers(0, 300))
def test_an_ending_leaves_json_or_says_that_it_cannot(elements: list[object], spaces: list[str], cut: int) -> None:
    data = written(elements, spaces, None)[:cut]
    _, splitter = fed(data, [])
    ending = splitter.closing(b'{"error":1}')
    assert bool(ending) == splitter.at_border
    if ending:
        found = json.loads(data + ending)
        given_whole = found[:-1] if found and found[-1] == {"error": 1} else found
        assert given_whole == elements[: len(given_whole)]
        assert found[-1:] == [{"error": 1}] or b"]" in data


@pytest.mark.parametrize(
    ("begun", "border", "ending"),
    [
        (b"", True, b"[E]\n"),
        (b" [", True, b"E]\n"),
        (b'[{"a":1}', True, b",\nE]\n"),
        (b'[{"a":1}\r\n,\r\n', True, b"E]\n"),
        (b'[{"a":"}]', False, b""),
        (b'[{"a":"\\"}]', False, b""),
        (b"[[", False, b""),
        (b"[1", False, b""),
        (b'[{"a":1}]\n', True, b"\n"),
        (b'{"a":1}', False, b""),
        (b'"[', False, b""),
        (b"[]x", False, b""),
    ],
)
def test_where_an_element_of_our_own_may_stand(begun: bytes, border: bool, ending: bytes) -> None:
    _, splitter = fed(begun, [])
    assert (splitter.at_border, splitter.closing(b"E")) == (border, ending)


def test_an_element_that_was_given_in_part_is_no_border() -> None:
    pieces, splitter = fed(b'[{"a":"%b' % (b"x" * 30), [], 16)
    assert len(pieces) == 2
    assert not splitter.at_border
    splitter.feed(b'"}')
    assert splitter.at_border


def test_a_bound_must_be_one() -> None:
    with pytest.raises(ValueError, match="max_element_bytes"):
        ArraySplitter(0)
