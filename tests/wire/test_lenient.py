"""What an upstream may accept is read, and what anybody chose is fit to be published."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas.events import Completion
from penstock.schemas.records import read_value
from penstock.wire.chunk import ChunkReader
from penstock.wire.lenient import _Keeper, compact, dumped, kept, label, members, parsed

LOOSE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=80),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(st.characters(), max_size=80), inner),
    max_leaves=200,
)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"model":"m"}',
        '{"model":"m"}'.encode("utf-16"),
        '{"model":"m"}'.encode("utf-32"),
        b'{"model":"m","temperature":NaN}',
        b'{"model":"m","messages":"\\ud800"}',
        b'{"model":"m","seed":1000000000000000000000000000000,"x":1e400}',
        b'{"model":"x","model":"m"}',
    ],
)
def test_what_a_lenient_server_takes_is_read(body: bytes) -> None:
    assert members(body)["model"] == "m"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", nested(100_000).encode(), b"[1]", b"7" * 5000])
def test_what_no_server_takes_has_no_members(body: bytes) -> None:
    assert members(body) == {}


@pytest.mark.parametrize("depth", [10, 300, 1000])
def test_what_was_parsed_can_be_written_whatever_its_depth(depth: int) -> None:
    content = parsed(nested(depth).encode())
    assert compact(content) in (nested(depth), "")
    assert dumped(content) in (nested(depth), "")


def test_labels() -> None:
    assert label("m" * 1_000_000) == "m" * 256
    assert label("gpt\ud800\0é") == "gpt?\0é"
    assert label(7) == ""


@given(usage=st.dictionaries(st.text(st.characters(), max_size=80), LOOSE))
def test_whatever_usage_a_provider_sends_fits_a_completion(usage: dict[str, Any]) -> None:
    content = json.dumps({"usage": usage}).encode()
    reader = ChunkReader("openai.chat")
    reader.feed_body(content)
    given = Completion(outcome="completed", status=200, started_at_us=1, ended_at_us=2, usage=reader.usage)
    assert read_value(Completion, given.model_dump_json().encode()) == given


@pytest.mark.parametrize("depth", [150, 210, 260, 900])
def test_a_deep_usage_object_is_cut(depth: int) -> None:
    reader = ChunkReader("openai.chat")
    reader.feed_body(b'{"usage":{"prompt_tokens":3,"a":' + nested(depth).encode() + b"}}")
    given = Completion(outcome="completed", status=200, started_at_us=1, ended_at_us=2, usage=reader.usage)
    assert read_value(Completion, given.model_dump_json().encode()).usage[0]["prompt_tokens"] == 3


def test_a_huge_usage_object_stays_small() -> None:
    found = kept({f"{place:05}": {"text": "\0" * 10_000} for place in range(10_000)})
    assert len(json.dumps(found)) < 60_000


@given(st.dictionaries(st.text(max_size=70), st.integers() | st.booleans() | st.floats() | st.text(max_size=70)))
def test_figures_alone_are_kept_as_anything_else_is(content: dict[str, Any]) -> None:
    assert repr(kept(content)) == repr(dict(_Keeper().members(content)))
