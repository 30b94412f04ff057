"""Gemini's prompts: near what Google reported, whichever spelling of its members a request uses."""

import json
from typing import Any

import pytest
from hypothesis import given

from penstock.wire.prompt import count_prompt
from penstock.wire.usage import merge_usage

from .conftest import Cassette
from .test_chunk import JSON

CAPITAL = "What is the capital of France?"


def tokens(request: Any, api: Any = "gemini.generate") -> int:
    found = count_prompt(api, "gemini-2.5-flash", json.dumps(request).encode())
    assert (found.source, found.method) == ("estimated", "cl100k_base*1.04")
    return found.tokens


def test_recorded_prompts_of_text(cassettes: list[Cassette]) -> None:
    counted, reported, number = 0, 0, 0
    for one in cassettes:
        usage = merge_usage(one.api, one.read().usage)
        asked = json.dumps(one.request).lower()
        if one.api != "gemini.generate" or usage is None or '"tools"' in asked or "data" in asked:
            continue
        number += 1
        counted += tokens(one.request)
        reported += usage.input_tokens or 0
    assert number >= 15
    assert abs(counted - reported) / reported < 0.16


@pytest.mark.parametrize(
    "request_json",
    [
        {"contents": [{"role": "user", "parts": [{"text": CAPITAL}]}]},
        {"contents": {"parts": {"text": CAPITAL}}},
        {"contents": CAPITAL},
        {"contents": [CAPITAL]},
        {"content": {"parts": [{"text": CAPITAL}]}},
        {"requests": [{"content": {"parts": [{"text": CAPITAL}]}}]},
        {"contents": [{"parts": [{"text": CAPITAL, "thought_signature": "AAAA" * 100}]}]},
    ],
)
def test_every_form_of_a_text(request_json: dict[str, Any]) -> None:
    assert tokens(request_json) == 8


@pytest.mark.parametrize(
    ("camel", "snake"),
    [
        ({"systemInstruction": {"parts": [{"text": CAPITAL}]}}, {"system_instruction": {"parts": [{"text": CAPITAL}]}}),
        (
            {"contents": [{"parts": [{"functionCall": {"name": "f", "args": {"a": 1}, "id": "x" * 90}}]}]},
            {"contents": [{"parts": [{"function_call": {"name": "f", "args": {"a": 1}}}]}]},
        ),
        (
            {"contents": [{"parts": [{"functionResponse": {"response": {"a": CAPITAL}}}]}]},
            {"contents": [{"parts": [{"function_response": {"response": {"a": CAPITAL}}}]}]},
        ),
        (
            {"contents": [{"parts": [{"executableCode": {"code": CAPITAL}}]}]},
            {"contents": [{"parts": [{"code_execution_result": {"output": CAPITAL}}]}]},
        ),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA" * 500}}]}]},
            {"contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "AAAA"}}]}]},
        ),
    ],
)
def test_both_spellings_count_alike(camel: dict[str, Any], snake: dict[str, Any]) -> None:
    assert tokens(camel) == tokens(snake) > 1


def test_tools_and_pictures_cost() -> None:
    plain = {"contents": [{"parts": [{"text": CAPITAL}]}]}
    tool = {"functionDeclarations": [{"name": "get_weather", "description": "The weather of a place."}]}
    assert tokens({**plain, "tools": [tool]}) > tokens(plain) + 10
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    assert tokens({"contents": [{"parts": [{"text": CAPITAL}, picture]}]}) == tokens(plain) + 258


def test_counting_is_free() -> None:
    for api in ("gemini.count_tokens", "anthropic.count_tokens"):
        assert count_prompt(api, "gemini-2.5-flash", b"x" * 40).method == "bytes/4"


@given(contents=JSON, parts=JSON, tools=JSON)
def test_never_raises(contents: object, parts: object, tools: object) -> None:
    requests = {"contents": contents, "systemInstruction": parts, "tools": tools, "requests": contents}
    wrapped = {"contents": [{"parts": parts}, {"parts": [parts, {"inlineData": parts, "functionCall": tools}]}]}
    for request in (requests, wrapped):
        assert tokens(request) >= 0
        assert tokens(request, "gemini.embed") >= 0


def test_a_prompt_of_any_depth_is_counted() -> None:
    deep = '{"contents":' * 2000 + "[" * 500 + "]" * 500 + "}" * 2000
    assert count_prompt("gemini.generate", "gemini-2.5-flash", deep.encode()).source == "estimated"
    lists = f'{{"contents":[{{"parts":[{{"functionCall":{{"args":{"[" * 900}{"]" * 900}}}}}]}}]}}'
    assert count_prompt("gemini.generate", "gemini-2.5-flash", lists.encode()).source == "estimated"
