import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.wire.prompt import count_prompt
from penstock.wire.responses_prompt import as_chat, holds_all


def count(request: dict[str, Any]) -> tuple[int, str]:
    found = count_prompt("openai.responses", "gpt-4o", json.dumps(request).encode())
    return found.tokens, found.source


def chat(request: dict[str, Any]) -> tuple[int, str]:
    found = count_prompt("openai.chat", "gpt-4o", json.dumps(request).encode())
    return found.tokens, found.source


def test_a_text_counts_as_one_message() -> None:
    assert count({"input": "Say hi"}) == chat({"messages": [{"role": "user", "content": "Say hi"}]})
    assert count({"input": "Say hi"})[1] == "counted"


def test_instructions_and_items_count_as_messages() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
        {"role": "user", "content": "Bye"},
    ]
    messages = [
        {"role": "system", "content": "Be short"},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "Bye"},
    ]
    assert count({"instructions": "Be short", "input": items}) == chat({"messages": messages})


@pytest.mark.parametrize("stored", ["previous_response_id", "conversation", "prompt"])
def test_what_the_provider_holds_is_an_estimate(stored: str) -> None:
    request = {"input": "Say hi", stored: "id_1"}
    assert not holds_all(request)
    assert count(request) == (count({"input": "Say hi"})[0], "estimated")


def test_tools_and_calls_are_estimates() -> None:
    tool = {"type": "function", "name": "find", "parameters": {"type": "object", "properties": {}}}
    plain = count({"input": "x"})[0]
    assert count({"input": "x", "tools": [tool]})[0] > plain
    assert count({"input": "x", "tools": [tool]})[1] == "estimated"
    call = {"type": "function_call", "name": "find", "arguments": '{"a": 1}'}
    output = {"type": "function_call_output", "output": "found it"}
    assert count({"input": [call, output]})[1] == "estimated"
    assert count({"input": [call, output]})[0] > count({"input": [call]})[0]


def test_pictures_and_forms_are_translated() -> None:
    picture = {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "low"}
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
    request = {"input": [{"role": "user", "content": [picture]}], "text": {"format": form}}
    assert as_chat(request)["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}}
    ]
    assert as_chat(request)["response_format"] == {"type": "json_schema", "json_schema": form}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "role", "content", "text", "format", "tools", "output"]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["input", "instructions", "tools", "text", "tool_choice"]), JSON))
def test_it_never_raises(request: dict[str, Any]) -> None:
    count(request)
