"""What each provider of the chat protocol adds to it, or leaves out, in streams: texts once, figures as reported."""

import json
from typing import Any

import pytest

from penstock.wire.chunk import ChunkReader
from penstock.wire.sse import EventSplitter
from penstock.wire.telling import TellingReader
from penstock.wire.usage import Usage, merge_usage

from .conftest import Cassette


def chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, **more.pop("choice", {})}], **more}


def stream(*contents: Any) -> bytes:
    """Contents as events; a text stands as it is."""
    return b"".join(
        content.encode() if isinstance(content, str) else f"data: {json.dumps(content)}\n\n".encode()
        for content in contents
    )


def read(body: bytes) -> tuple[ChunkReader, TellingReader]:
    reader, telling, splitter = ChunkReader("openai.chat"), TellingReader("openai.chat"), EventSplitter()
    for event in [*splitter.feed(body), splitter.finish()]:
        reader.feed_event(event)
        telling.feed_event(event)
    return reader, telling


FIGURES = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
FILTER = {"hate": {"filtered": False, "severity": "safe"}}
STREAMS: dict[str, tuple[list[Any], list[tuple[str, str]], Usage]] = {
    "azure: filters without choices": (
        [
            {"id": "", "model": "", "choices": [], "prompt_filter_results": [{"content_filter_results": FILTER}]},
            chunk({"content": "a"}, choice={"content_filter_results": FILTER}),
            chunk({}, choice={"finish_reason": None, "content_filter_offsets": {"start_offset": 1}}),
            chunk({}, choice={"finish_reason": "stop"}),
            {"id": "c", "model": "m", "choices": [], "usage": FIGURES},
            "data: [DONE]\n\n",
        ],
        [("0/content", "a")],
        Usage(9, 4),
    ),
    "mistral: content in parts, usage in the last delta": (
        [
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
            chunk({"content": [{"type": "text", "text": "a"}, {"type": "reference", "reference_ids": [1]}]}),
            chunk({"content": ""}, choice={"finish_reason": "stop"}, usage=FIGURES),
        ],
        [("0/reasoning", "hm"), ("0/content", "a")],
        Usage(9, 4),
    ),
    "groq: the same figures twice": (
        [
            chunk({"reasoning": "hm"}, x_groq={"id": "req"}),
            chunk({"content": "a"}),
            chunk({}, choice={"finish_reason": "stop"}, x_groq={"id": "r", "usage": FIGURES}, usage=FIGURES),
        ],
        [("0/reasoning", "hm"), ("0/content", "a")],
        Usage(9, 4),
    ),
    "deepseek: keep-alives, reasoning beside null, cache hits": (
        [
            ": keep-alive\n\n",
            chunk({"content": None, "reasoning_content": "hm"}, usage=None),
            ": keep-alive\n\n",
            chunk({"content": "a", "reasoning_content": None}, usage=None),
            chunk(
                {"content": "", "reasoning_content": None},
                choice={"finish_reason": "stop"},
                usage={**FIGURES, "prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 3},
            ),
        ],
        [("0/reasoning", "hm"), ("0/content", "a")],
        Usage(9, 4, 6),
    ),
    "openrouter: comments, reasoning under two names, cost": (
        [
            ": OPENROUTER PROCESSING\n\n",
            chunk({"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}], "content": ""}),
            chunk({"content": "a"}, choice={"native_finish_reason": None}, provider="OpenAI"),
            {"id": "c", "model": "m", "choices": [], "usage": {**FIGURES, "cost": 0.00012, "cost_details": {"x": 1}}},
        ],
        [("0/reasoning", "hm"), ("0/content", "a")],
        Usage(9, 4),
    ),
    "snowflake: reasoning in details alone": (
        [
            chunk({"content": "", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}),
            chunk({"content": "", "reasoning_details": [{"type": "reasoning.encrypted", "data": "eA=="}]}),
            chunk({"content": "a", "refusal": "", "tool_calls": None}, usage=FIGURES),
        ],
        [("0/reasoning", "hm"), ("0/content", "a")],
        Usage(9, 4),
    ),
    "vllm: running figures in every chunk": (
        [
            chunk({"role": "assistant", "content": ""}, usage={"prompt_tokens": 9, "completion_tokens": 0}),
            *(
                chunk({"content": "a"}, usage={"prompt_tokens": 9, "completion_tokens": n, "total_tokens": 9 + n})
                for n in range(1, 40)
            ),
            chunk({}, choice={"finish_reason": "stop", "stop_reason": 151645, "token_ids": None}),
            {"id": "c", "model": "m", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 39}},
        ],
        [("0/content", "a")] * 39,
        Usage(9, 39),
    ),
    "together: the delta's text beside it": (
        [
            chunk({"content": "a", "role": "assistant", "token_id": 1}, choice={"text": "a", "seed": None}),
            chunk({"content": ""}, choice={"text": "", "finish_reason": "stop"}, usage=FIGURES),
        ],
        [("0/content", "a")],
        Usage(9, 4),
    ),
    "cerebras: times beside the figures": (
        [
            chunk({"reasoning": "hm"}),
            chunk({"content": "a"}),
            chunk({}, choice={"finish_reason": "stop"}, usage=FIGURES, time_info={"queue_time": 0.1}),
        ],
        [("0/reasoning", "hm"), ("0/content", "a")],
        Usage(9, 4),
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_texts_once_and_figures_as_reported(name: str) -> None:
    contents, texts, usage = STREAMS[name]
    reader, telling = read(stream(*contents))
    assert reader.new_text() == texts
    assert merge_usage("openai.chat", reader.usage) == merge_usage("openai.chat", telling.usage) == usage
    assert (reader.model, reader.response_id) == (telling.model, telling.response_id) == ("m", "c")
    assert not reader.has_error
    assert not telling.has_error


@pytest.mark.parametrize(
    "trouble",
    [
        {**chunk({"content": ""}, choice={"finish_reason": "error"}), "error": {"code": 502, "message": "lost"}},
        {"error": {"message": "lost", "type": "server_error"}},
        {"object": "error", "message": "lost", "code": 500},
        chunk({}, x_groq={"id": "r", "error": "over capacity"}),
    ],
    ids=["openrouter", "openai", "vllm", "groq"],
)
def test_an_error_within_a_stream_is_seen(trouble: dict[str, Any]) -> None:
    for one in read(stream(chunk({"content": "a"}), trouble)):
        assert one.has_error


def test_padding_is_no_output() -> None:
    reader, _ = read(stream(chunk({"content": "a"}, obfuscation="xYz9" * 20)))
    assert reader.new_text() == [("0/content", "a")]


@pytest.mark.parametrize(
    ("provider", "least"),
    [
        ("azure-openai", 3),
        ("mistral", 29),
        ("groq", 37),
        ("deepseek", 5),
        ("openrouter", 38),
        ("cerebras", 12),
        ("together", 1),
        ("huggingface", 14),
        ("snowflake", 10),
        ("zai", 9),
        ("crusoe", 5),
        ("writer", 4),
    ],
)
def test_every_recorded_chat_tells_its_figures(cassettes: list[Cassette], provider: str, least: int) -> None:
    found = [one for one in cassettes if one.record["provider"] == provider and one.api == "openai.chat"]
    assert len(found) >= least
    for one in found:
        if one.record["usage"] is None:
            continue
        for reader in read(one.body) if one.is_stream else (one.read(),):
            usage = merge_usage(one.api, reader.usage)
            assert usage is not None, one.id
            assert (usage.input_tokens, usage.output_tokens) == (
                one.record["usage"]["input_tokens"],
                one.record["usage"]["output_tokens"],
            ), one.id
