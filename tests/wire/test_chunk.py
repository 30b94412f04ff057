"""What replies say is collected, and nothing that they may hold raises."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.wire.chunk import ChunkReader
from penstock.wire.said import USAGE_MAX

from .conftest import APIS, Cassette

MEMBERS = [
    *("type", "choices", "delta", "message", "usage", "content", "index", "text", "tool_calls", "function", "name"),
    *("arguments", "content_block", "model", "id", "error", "finish_reason", "x_groq", "stop_reason", "partial_json"),
    *("thinking", "input", "reasoning"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(MEMBERS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


def event(content: Any) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def joined(reader: ChunkReader) -> dict[str, str]:
    texts: dict[str, str] = {}
    for channel, text in reader.new_text():
        texts[channel] = texts.get(channel, "") + text
    return texts


def chat(delta: dict[str, Any], **choice: Any) -> bytes:
    return event({"id": "c1", "model": "m1", "choices": [{"index": 0, "delta": delta, **choice}], "usage": None})


def test_chat_stream() -> None:
    reader = ChunkReader("openai.chat")
    call = {"index": 1, "function": {"name": "f", "arguments": ""}}
    more = {"index": 1, "function": {"arguments": '{"a":1}'}}
    reader.feed_event(chat({"role": "assistant", "content": "Hel"}))
    reader.feed_event(chat({"content": "lo"}))
    assert reader.new_text() == [("0/content", "Hel"), ("0/content", "lo")]
    assert reader.new_text() == []
    reader.feed_event(chat({"tool_calls": [call]}))
    reader.feed_event(chat({"tool_calls": [more]}, finish_reason="tool_calls"))
    reader.feed_event(event({"choices": [], "usage": {"prompt_tokens": 1}}))
    reader.feed_event(b"data: [DONE]\n\n")
    assert joined(reader) == {"0/tool/1/name": "f", "0/tool/1/arguments": '{"a":1}'}
    assert (reader.response_id, reader.model, reader.finish_reason) == ("c1", "m1", "tool_calls")
    assert reader.usage == [{"prompt_tokens": 1}]
    assert not reader.has_error


def test_obfuscation_padding_is_no_output() -> None:
    reader = ChunkReader("openai.chat")
    reader.feed_event(event({"choices": [{"index": 0, "delta": {"content": "a"}}], "obfuscation": "Xy7Qp"}))
    assert reader.new_text() == [("0/content", "a")]


def test_channels_of_other_providers() -> None:
    reader = ChunkReader("openai.chat")
    reader.feed_event(chat({"reasoning_content": "why", "reasoning": "why"}))
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "ok"}]
    reader.feed_event(chat({"content": parts}))
    reader.feed_event(chat({"refusal": "no"}))
    reader.feed_event(chat({"function_call": {"name": "g", "arguments": "{}"}}))
    assert joined(reader) == {
        "0/reasoning": "whyhm",
        "0/content": "ok",
        "0/refusal": "no",
        "0/tool/0/name": "g",
        "0/tool/0/arguments": "{}",
    }


def test_usage_of_groq_stands_apart() -> None:
    reader = ChunkReader("openai.chat")
    reader.feed_event(event({"choices": [], "x_groq": {"usage": {"prompt_tokens": 2}}}))
    assert reader.usage == [{"prompt_tokens": 2}]


def test_usage_in_every_chunk_stays_bounded() -> None:
    reader = ChunkReader("openai.chat")
    for tokens in range(1000):
        reader.feed_event(event({"choices": [], "usage": {"completion_tokens": tokens}}))
    assert len(reader.usage) == USAGE_MAX
    assert reader.usage[-1] == {"completion_tokens": 999}


def test_anthropic_stream() -> None:
    reader = ChunkReader("anthropic.messages")
    start = {"id": "m1", "model": "claude", "content": [], "usage": {"input_tokens": 5, "output_tokens": 1}}
    reader.feed_event(b"event: message_start\n" + event({"type": "message_start", "message": start}))
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    for content in (
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "AAAA"}},
        {"type": "content_block_start", "index": 1, "content_block": block},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ):
        reader.feed_event(event(content))
    assert joined(reader) == {
        "0/content": "hi",
        "0/reasoning": "hm",
        "0/tool/1/name": "f",
        "0/tool/1/arguments": "{}",
    }
    assert reader.usage == [{"input_tokens": 5, "output_tokens": 1}, {"output_tokens": 9}]
    assert (reader.response_id, reader.model, reader.finish_reason) == ("m1", "claude", "tool_use")


def test_error_objects_are_seen() -> None:
    chat_reader, messages = ChunkReader("openai.chat"), ChunkReader("anthropic.messages")
    chat_reader.feed_body(b'{"error": {"message": "no"}}')
    messages.feed_event(b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n')
    assert chat_reader.has_error
    assert messages.has_error
    assert not chat_reader.usage


def test_json_that_only_python_reads() -> None:
    reader = ChunkReader("openai.chat")
    reader.feed_event(b'data: {"choices": [{"index": 0, "delta": {"content": "\\ud83d"}, "logprobs": NaN}]}\n\n')
    assert reader.new_text() == [("0/content", "\ud83d")]


@given(
    content=st.one_of(JSON.map(event), st.binary()), whole=st.one_of(JSON.map(json.dumps).map(str.encode), st.binary())
)
def test_never_raises(content: bytes, whole: bytes) -> None:
    for api in (*APIS, "opaque"):
        reader = ChunkReader(api)  # type: ignore[arg-type]  # a tuple of Api and one more Api
        reader.feed_event(content)
        reader.feed_body(whole)
        assert all(isinstance(text, str) for _, text in reader.new_text())
        assert all(isinstance(usage, dict) for usage in reader.usage)


def test_deep_nesting_never_raises() -> None:
    reader = ChunkReader("openai.chat")
    reader.feed_body(b'{"choices":' * 100_000)
    reader.feed_body(b'{"a": NaN, "b":' + b"[" * 100_000)
    assert reader.new_text() == []


def test_recorded_replies_say_something(cassettes: list[Cassette]) -> None:
    silent = [
        one.id
        for one in cassettes
        if one.record["usage"]
        and one.record["usage"]["output_tokens"]
        and not one.read().new_text()
        and one.read().finish_reason != "MODEL_ARMOR"  # tokens were made and billed, and their text withheld
    ]
    assert silent == []


def test_a_text_that_a_provider_says_twice_is_counted_once() -> None:
    reader = ChunkReader("openai.chat")
    reader.feed_event(event({"choices": [{"delta": {"content": "b"}, "message": {"content": "ab"}}]}))
    reader.feed_event(event({"choices": [{"delta": {"content": "c"}, "text": "c"}]}))
    assert reader.new_text() == [("0/content", "b"), ("0/content", "c")]


def test_odd_numbers_and_surrogates_hide_no_text() -> None:
    reader = ChunkReader("openai.chat")
    reader.feed_event(b'data: {"model":"m\\ud800","choices":[{"delta":{"content":"a\\ud800"}}],"x":1e400,"y":NaN}\n\n')
    assert (reader.model, reader.new_text()) == ("m?", [("0/content", "a\ud800")])
