import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.wire.asked_usage import only_usage, with_usage_asked

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ADDED = b'"stream_options":{"include_usage":true},'


@given(st.dictionaries(st.text(max_size=6), JSON), st.sampled_from([None, 1]), st.sampled_from(["", " \n", "\t"]))
def test_one_member_is_added_and_no_byte_is_changed(content: dict[str, Any], indent: int | None, space: str) -> None:
    content = {**{name: value for name, value in content.items() if name != "stream_options"}, "stream": True}
    body = (space + json.dumps(content, indent=indent, ensure_ascii=False)).encode()
    asked = with_usage_asked("openai.chat", body)
    assert asked is not None
    assert asked.replace(ADDED, b"", 1) == body
    assert json.loads(asked) == {**content, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    "body",
    [
        b'{"stream":false}',
        b'{"model":"m"}',
        b'{"stream":true,"stream_options":null}',
        b'{"stream":true,"stream_options":{"include_usage":false}}',
        b'{"stream":true,"stream_options":{"include_usage":true}}',
        b'{"stream":1}',
        b"{}",
        b'[{"stream":true}]',
        b'{"stream":true',
        b"",
        b'"stream"',
    ],
)
def test_a_client_that_decides_itself_is_left_alone(body: bytes) -> None:
    assert with_usage_asked("openai.chat", body) is None


@pytest.mark.parametrize("api", ["openai.responses", "anthropic.messages", "embeddings", "opaque"])
def test_only_streams_that_know_the_option_are_asked(api: Any) -> None:
    assert with_usage_asked(api, b'{"stream":true}') is None


@pytest.mark.parametrize(
    ("data", "only"),
    [
        (b'{"choices":[],"usage":{"total_tokens":5}}', True),
        (b'{"choices":[],"usage":null}', False),
        (b'{"choices":[{"delta":{}}],"usage":{"total_tokens":5}}', False),
        (b'{"usage":{"total_tokens":5}}', False),
        (b'{"choices":[],"prompt_filter_results":[]}', False),
        (b"[DONE]", False),
        (b'["usage"]', False),
        (b'{"usage"', False),
    ],
)
def test_the_chunk_that_only_brings_usage(data: bytes, only: bool) -> None:
    assert only_usage(data) is only
