"""Anthropic's messages: thinking, tools of every kind, citations, and figures that are cumulative."""

import json
from typing import Any

import pytest

from penstock.wire.chunk import ChunkReader
from penstock.wire.telling import TellingReader
from penstock.wire.usage import Usage, merge_usage

START = {"input_tokens": 9, "cache_read_input_tokens": 200, "cache_creation_input_tokens": 30, "output_tokens": 1}


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def delta(index: int, **members: Any) -> bytes:
    return event("content_block_delta", index=index, delta=members)


def start(index: int, **block: Any) -> bytes:
    return event("content_block_start", index=index, content_block=block)


STREAM = [
    event("message_start", message={"id": "msg_1", "model": "claude-sonnet-4-6", "content": [], "usage": START}),
    event("ping"),
    start(0, type="thinking", thinking="", signature=""),
    delta(0, type="thinking_delta", thinking="hm"),
    delta(0, type="signature_delta", signature="c2lnbmVk" * 40),
    event("content_block_stop", index=0),
    start(1, type="redacted_thinking", data="b3BhcXVl" * 40),
    start(2, type="text", text=""),
    delta(2, type="text_delta", text="one"),
    delta(2, type="citations_delta", citation={"type": "char_location", "cited_text": "quoted", "document_index": 0}),
    start(3, type="server_tool_use", id="s", name="web_search", input={}),
    delta(3, type="input_json_delta", partial_json='{"query": "Ulm"}'),
    start(4, type="web_search_tool_result", tool_use_id="s", content=[{"type": "web_search_result", "title": "t"}]),
    start(5, type="mcp_tool_use", id="m", name="read", input={"path": "/"}, server_name="files"),
    start(6, type="tool_use", id="t", name="get_weather", input={}),
    delta(6, type="input_json_delta", partial_json=""),
    delta(6, type="input_json_delta", partial_json='{"place": "U'),
    delta(6, type="input_json_delta", partial_json='lm"}'),
    event("x_future_event", text="unheard"),
    event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 20}),
    event(
        "message_delta",
        delta={"stop_reason": "tool_use", "stop_sequence": None},
        usage={**START, "output_tokens": 44, "server_tool_use": {"web_search_requests": 1}},
    ),
    event("message_stop"),
]
TEXTS = [
    ("0/reasoning", "hm"),
    ("0/content", "one"),
    ("0/tool/3/name", "web_search"),
    ("0/tool/3/arguments", '{"query": "Ulm"}'),
    ("0/tool/5/name", "read"),
    ("0/tool/5/arguments", '{"path": "/"}'),
    ("0/tool/6/name", "get_weather"),
    ("0/tool/6/arguments", '{"place": "U'),
    ("0/tool/6/arguments", 'lm"}'),
]


def test_a_stream_with_everything() -> None:
    reader, telling = ChunkReader("anthropic.messages"), TellingReader("anthropic.messages")
    for one in STREAM:
        reader.feed_event(one)
        telling.feed_event(one)
    assert reader.new_text() == TEXTS
    for found in (reader, telling):
        assert (found.finish_reason, found.model, found.response_id) == ("tool_use", "claude-sonnet-4-6", "msg_1")
        assert merge_usage("anthropic.messages", found.usage) == Usage(239, 44, 200, 30)
        assert not found.has_error


def test_a_whole_message_says_the_same() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "text", "text": "one", "citations": [{"cited_text": "quoted"}]},
        {"type": "server_tool_use", "name": "web_search", "input": {"query": "Ulm"}},
        {"type": "web_search_tool_result", "content": [{"title": "t"}]},
        {"type": "mcp_tool_use", "name": "read", "input": {"path": "/"}},
        {"type": "tool_use", "name": "get_weather", "input": {"place": "Ulm"}},
    ]
    reader = ChunkReader("anthropic.messages")
    reader.feed_body(json.dumps({"type": "message", "content": content}).encode())
    whole = [(channel, text) for channel, text in TEXTS if channel != "0/tool/6/arguments"]
    assert reader.new_text() == [*whole, ("0/tool/6/arguments", '{"place": "Ulm"}')]


@pytest.mark.parametrize("kind", ["overloaded_error", "api_error", "rate_limit_error"])
def test_an_error_within_a_stream_is_seen(kind: str) -> None:
    for reader in (ChunkReader("anthropic.messages"), TellingReader("anthropic.messages")):
        for one in [*STREAM[:4], event("error", error={"type": kind, "message": "m"})]:
            reader.feed_event(one)
        assert reader.has_error
        assert merge_usage("anthropic.messages", reader.usage) == Usage(239, 1, 200, 30)


def test_counting_tokens_says_nothing() -> None:
    reader = ChunkReader("anthropic.count_tokens")
    reader.feed_body(b'{"input_tokens": 2095, "usage": {"input_tokens": 2095}}')
    assert (reader.usage, reader.new_text()) == ([], [])
