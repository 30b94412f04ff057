"""What Gemini's answers say, whole, as events, and as elements of an array."""

import json
from typing import Any

import pytest
from hypothesis import given

from penstock.wire.chunk import ChunkReader
from penstock.wire.json_array import ArraySplitter
from penstock.wire.telling import TellingReader

from .conftest import Cassette
from .test_chunk import JSON

PARTS: list[tuple[list[dict[str, Any]], list[tuple[str, str]]]] = [
    ([{"text": "Hi"}, {"text": " you", "thoughtSignature": "x"}], [("0/content", "Hi"), ("0/content", " you")]),
    ([{"text": "hm", "thought": True}], [("0/reasoning", "hm")]),
    (
        [{"functionCall": {"name": "f", "args": {"a": 1}}}, {"functionCall": {"name": "g", "args": {}, "id": "1"}}],
        [("0/tool/0/name", "f"), ("0/tool/0/arguments", '{"a": 1}'), ("0/tool/1/name", "g")],
    ),
    (
        [{"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["q"]}}}, {"toolResponse": {"x": "y"}}],
        [("0/tool/0/name", "GOOGLE_SEARCH_WEB"), ("0/tool/0/arguments", '{"queries": ["q"]}')],
    ),
    (
        [{"executableCode": {"language": "PYTHON", "code": "1+1"}}, {"codeExecutionResult": {"output": "2"}}],
        [("0/tool/0/arguments", "1+1")],
    ),
    (
        [
            {"functionCall": {"name": "f", "willContinue": True}},
            {"functionCall": {"partialArgs": [{"jsonPath": "$.a", "stringValue": "Par"}], "willContinue": True}},
            {"functionCall": {"partialArgs": [{"jsonPath": "$.n", "numberValue": 5}, {"boolValue": True}]}},
            {"functionCall": {"name": "g"}},
        ],
        [
            ("0/tool/0/name", "f"),
            ("0/tool/0/arguments", "Par"),
            ("0/tool/0/arguments", "5"),
            ("0/tool/0/arguments", "true"),
            ("0/tool/1/name", "g"),
        ],
    ),
    ([{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}], []),
]


def answer(parts: list[dict[str, Any]], **more: Any) -> bytes:
    return json.dumps({"candidates": [{"content": {"parts": parts, "role": "model"}, **more}]}).encode()


@pytest.mark.parametrize(("parts", "texts"), PARTS)
def test_texts_by_channel(parts: list[dict[str, Any]], texts: list[tuple[str, str]]) -> None:
    whole, streamed = ChunkReader("gemini.generate"), ChunkReader("gemini.generate")
    whole.feed_body(answer(parts))
    for part in parts:
        streamed.feed_event(b"data: " + answer([part], index=0) + b"\r\n\r\n")
    assert whole.new_text() == streamed.new_text() == texts


def test_candidates_are_choices() -> None:
    reader = ChunkReader("gemini.generate")
    said = {"parts": [{"text": "x"}]}
    reader.feed_body(json.dumps({"candidates": [{"content": said}, {"content": said, "index": 3}, {}]}).encode())
    assert reader.new_text() == [("0/content", "x"), ("3/content", "x")]


def test_what_it_says_of_itself() -> None:
    end = {"modelVersion": "gemini-2.5-flash-001", "responseId": "r", "usageMetadata": {"promptTokenCount": 3}}
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **end}
    finished = {"candidates": [{"finishReason": "MAX_TOKENS"}], **end}
    for content, reason in ((blocked, "PROHIBITED_CONTENT"), (finished, "MAX_TOKENS")):
        reader, telling = ChunkReader("gemini.generate"), TellingReader("gemini.generate")
        for one in (reader, telling):
            one.feed_body(json.dumps(content).encode())
            assert (one.model, one.response_id, one.finish_reason) == ("gemini-2.5-flash-001", "r", reason)
            assert one.usage == [{"promptTokenCount": 3}]
        assert not reader.has_error
    reader.feed_event(b'data: {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}\n\n')
    assert reader.has_error


def test_an_array_says_the_same_whole_and_in_elements(cassettes: list[Cassette]) -> None:
    streams = [one for one in cassettes if one.api == "gemini.generate" and one.is_stream]
    assert len(streams) == 18
    for one in streams:
        data = [event[5:].strip() for event in one.body.split(b"\n") if event.startswith(b"data:")]
        array = b"[" + b",\r\n".join(data) + b"\n]"
        whole, pieces, telling = (
            ChunkReader("gemini.generate"),
            ChunkReader("gemini.generate"),
            TellingReader("gemini.generate"),
        )
        whole.feed_body(array)
        splitter = ArraySplitter()
        for start in range(0, len(array), 37):
            for piece in splitter.feed(array[start : start + 37]):
                pieces.feed_element(piece)
                telling.feed_element(piece)
        truth = one.read()
        assert whole.new_text() == pieces.new_text() == truth.new_text(), one.id
        assert whole.usage == pieces.usage == telling.usage == truth.usage, one.id
        assert truth.finish_reason
        assert whole.finish_reason == telling.finish_reason == truth.finish_reason, one.id


@given(parts=JSON, candidate=JSON, call=JSON)
def test_never_raises(parts: object, candidate: object, call: object) -> None:
    reader = ChunkReader("gemini.generate")
    odd = {"functionCall": call, "executableCode": call, "text": call, "toolCall": {"partialArgs": call, "args": call}}
    for content in (
        {"candidates": candidate, "promptFeedback": call, "usageMetadata": call},
        {"candidates": [candidate, {"content": candidate}, {"content": {"parts": parts}, "index": call}]},
        {"candidates": [{"content": {"parts": [odd, {"functionCall": {"name": call, "partialArgs": [call]}}]}}]},
    ):
        reader.feed_body(json.dumps(content).encode())
        reader.feed_body(json.dumps([content]).encode())
    assert all(isinstance(text, str) for _, text in reader.new_text())
