import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.wire.chunk import ChunkReader
from penstock.wire.ending import kill_ending, stream_terminal
from penstock.wire.sse import EventSplitter
from penstock.wire.tokens import RunningCount, encoding_for
from penstock.wire.usage import merge_usage

USAGE = {"input_tokens": 9, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 14}


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def read(*events: bytes) -> ChunkReader:
    reader = ChunkReader("openai.responses")
    for one in events:
        reader.feed_event(one)
    return reader


def test_a_stream_says_its_texts_once() -> None:
    output = [{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}]
    reader = read(
        event("response.created", response={"id": "resp_1", "model": "gpt-4o", "status": "in_progress", "usage": None}),
        event("response.output_item.added", output_index=0, item={"type": "message", "content": []}),
        event("response.output_text.delta", output_index=0, delta="Hel"),
        event("response.output_text.delta", output_index=0, delta="lo"),
        event("response.output_text.done", output_index=0, text="Hello"),
        event("response.refusal.delta", output_index=0, delta="no"),
        event("response.reasoning_summary_text.delta", output_index=1, delta="because"),
        event("response.output_item.added", output_index=2, item={"type": "function_call", "name": "find"}),
        event("response.function_call_arguments.delta", output_index=2, delta='{"a":1}'),
        event("response.completed", response={"id": "resp_1", "status": "completed", "output": output, "usage": USAGE}),
    )
    assert reader.new_text() == [
        ("0/content", "Hel"),
        ("0/content", "lo"),
        ("0/refusal", "no"),
        ("0/reasoning", "because"),
        ("0/tool/2/name", "find"),
        ("0/tool/2/arguments", '{"a":1}'),
    ]
    assert (reader.response_id, reader.model, reader.finish_reason) == ("resp_1", "gpt-4o", "completed")
    usage = merge_usage("openai.responses", reader.usage)
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (9, 5, 2)


def test_a_whole_answer_says_its_texts() -> None:
    reader = ChunkReader("openai.responses")
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "why"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "A"}, {"type": "refusal", "refusal": "B"}]},
        {"type": "custom_tool_call", "name": "run", "input": "ls"},
    ]
    whole = {"id": "r", "object": "response", "model": "m", "status": "incomplete", "output": output, "usage": USAGE}
    reader.feed_body(json.dumps({**whole, "incomplete_details": {"reason": "max_output_tokens"}}).encode())
    assert reader.new_text() == [
        ("0/reasoning", "why"),
        ("0/content", "A"),
        ("0/refusal", "B"),
        ("0/tool/2/name", "run"),
        ("0/tool/2/arguments", "ls"),
    ]
    assert reader.finish_reason == "max_output_tokens"


def test_a_queued_answer_has_not_finished() -> None:
    reader = ChunkReader("openai.responses")
    reader.feed_body(b'{"id":"r","status":"queued","output":[],"usage":null,"error":null}')
    assert (reader.finish_reason, reader.usage, reader.has_error) == ("", [], False)


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete", "response.failed", "response.cancelled"])
def test_the_last_event_of_a_stream_is_known(kind: str) -> None:
    assert stream_terminal("openai.responses", event(kind, response={}))
    assert not stream_terminal("openai.responses", event("response.output_text.delta", delta=kind))


def test_a_killed_stream_ends_with_an_error() -> None:
    ending = kill_ending("openai.responses", "used up", "budget_exceeded")
    assert stream_terminal("openai.responses", ending)
    assert read(ending).has_error


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "response", "output", "content", "summary", "item", "usage"]), inner)
    ),
    max_leaves=8,
)


@given(JSON)
def test_it_never_raises(content: Any) -> None:
    reader = ChunkReader("openai.responses")
    reader.feed_body(json.dumps(content).encode())
    for kind in ("response.output_item.added", "response.completed", "response.output_text.delta"):
        reader.feed_body(json.dumps({"type": kind, "item": content, "response": content, "delta": content}).encode())


@pytest.mark.parametrize("kind", ["json", "stream"])
def test_recorded_usage_and_text(shared: Path, kind: str) -> None:
    """Usage as the provider reported it; the text of models that do not reason counts to within one token of it."""
    close: list[bool] = []
    for line in (shared / "data" / "cassettes" / f"openai-responses-{kind}.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["usage"] is None:
            continue
        reader, splitter = ChunkReader("openai.responses"), EventSplitter()
        body = record["response_body"].encode()
        if kind == "json":
            reader.feed_body(body)
        else:
            for piece in [*splitter.feed(body), splitter.finish()]:
                reader.feed_event(piece)
        usage = merge_usage("openai.responses", reader.usage)
        assert usage is not None, record["id"]
        wanted = record["usage"]
        assert (usage.input_tokens, usage.output_tokens) == (wanted["input_tokens"], wanted["output_tokens"])
        assert (usage.reasoning_tokens or 0) == (wanted["reasoning_tokens"] or 0)
        count = RunningCount(encoding_for(reader.model, "openai.responses"))
        for channel, text in reader.new_text():
            count.add(channel, text)
        plain = not {"tools-offered", "tool-call", "structured-output", "reasoning", "media-input"} & set(
            record["tags"]
        )
        if count.method.exact and plain and record["verbatim"]:
            close.append(abs(count.tokens - wanted["output_tokens"]) <= 1)
    assert all(close), f"{close.count(False)} of {len(close)}"
