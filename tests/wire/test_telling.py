"""The lean reader says of a reply what the whole one says."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas.events import Api
from penstock.wire.chunk import ChunkReader
from penstock.wire.sse import EventSplitter
from penstock.wire.telling import TellingReader

APIS: tuple[Api, ...] = get_args(Api)
SCALAR = (
    st.none() | st.booleans() | st.integers(-5, 9) | st.floats(allow_nan=False) | st.sampled_from(["stop", "m", ""])
)
USAGE = SCALAR | st.dictionaries(st.sampled_from(["prompt_tokens", "details", "cost"]), SCALAR, max_size=3)
CHOICE = SCALAR | st.fixed_dictionaries({}, optional={"finish_reason": SCALAR, "delta": SCALAR, "message": SCALAR})
REPLY = st.fixed_dictionaries(
    {},
    optional={
        "id": SCALAR,
        "model": SCALAR,
        "choices": SCALAR | st.lists(CHOICE, max_size=3),
        "usage": USAGE,
        "x_groq": SCALAR | st.fixed_dictionaries({"usage": USAGE}),
        "error": SCALAR,
        "object": SCALAR | st.just("error"),
        "type": st.sampled_from(["message", "message_start", "message_delta", 3]),
        "message": st.fixed_dictionaries({}, optional={"id": SCALAR, "model": SCALAR, "usage": USAGE}),
        "delta": st.fixed_dictionaries({}, optional={"stop_reason": SCALAR}),
    },
)


def said(reader: ChunkReader | TellingReader) -> tuple[Any, ...]:
    return reader.usage, reader.finish_reason, reader.model, reader.response_id, reader.has_error


@given(st.sampled_from(APIS), st.lists(REPLY, max_size=4))
def test_both_readers_agree(api: Api, replies: list[dict[str, Any]]) -> None:
    lean, whole = TellingReader(api), ChunkReader(api)
    for reply in replies:
        event = b"data: " + json.dumps(reply).encode() + b"\n\n"
        lean.feed_event(event)
        whole.feed_event(event)
    assert said(lean) == said(whole)


@given(st.sampled_from(APIS), st.binary(max_size=60))
def test_it_never_raises(api: Api, data: bytes) -> None:
    TellingReader(api).feed_event(data)
    TellingReader(api).feed_body(data)


@pytest.mark.parametrize("name", ["openai-chat", "other-providers", "anthropic-messages", "openai-responses", "gemini"])
def test_both_readers_agree_on_what_was_recorded(shared: Path, name: str) -> None:
    for kind in ("json", "stream"):
        for line in (shared / "data" / "cassettes" / f"{name}-{kind}.jsonl").read_text().splitlines():
            body = json.loads(line)["response_body"].encode()
            for api in ("openai.chat", "anthropic.messages", "gemini.generate"):
                lean, whole = TellingReader(api), ChunkReader(api)
                if kind == "stream":
                    splitter = EventSplitter()
                    for event in [*splitter.feed(body), splitter.finish()]:
                        lean.feed_event(event)
                        whole.feed_event(event)
                else:
                    lean.feed_body(body)
                    whole.feed_body(body)
                assert said(lean) == said(whole)
