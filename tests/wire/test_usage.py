"""The figure equals the provider's: cumulative objects are not added up, cached tokens not counted twice."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas.events import Api
from penstock.wire.usage import Usage, merge_usage

from .conftest import APIS, Cassette


@pytest.mark.parametrize(
    ("objects", "usage"),
    [
        ([], None),
        ([{"service_tier": "default"}], None),
        (
            [{"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 64}}],
            Usage(100, 7, 64),
        ),
        ([{"prompt_tokens": 9, "completion_tokens": n} for n in (1, 2, 3)], Usage(9, 3)),
        ([{"prompt_tokens": 9, "completion_tokens": 3}, {"prompt_tokens": 9, "completion_tokens": 0}], Usage(9, 3)),
        ([{"prompt_tokens": 10, "completion_tokens": 2, "prompt_cache_hit_tokens": 8}], Usage(10, 2, 8)),
        ([{"prompt_tokens": 10, "completion_tokens": 2, "num_cached_tokens": 8}], Usage(10, 2, 8)),
        ([{"prompt_tokens": None, "completion_tokens": True, "total_tokens": "7"}], None),
        (
            [
                {
                    "prompt_tokens": 10,
                    "completion_tokens": 2,
                    "total_tokens": 42,
                    "completion_tokens_details": {"reasoning_tokens": 30},
                }
            ],
            Usage(10, 32, reasoning_tokens=30),
        ),
    ],
    ids=["none", "no figures", "cached", "cumulative", "trailing zero", "deepseek", "mistral", "nonsense", "xai"],
)
def test_chat(objects: list[dict[str, Any]], usage: Usage | None) -> None:
    assert merge_usage("openai.chat", objects) == usage


def test_embeddings_have_no_output() -> None:
    assert merge_usage("embeddings", [{"total_tokens": 4}]) == Usage(4, 0)


def test_anthropic_input_gets_its_cache_and_deltas_are_cumulative() -> None:
    start = {"input_tokens": 3, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 1}
    deltas = [{"output_tokens": 5}, {"output_tokens": 11}, {**start, "output_tokens": 11}]
    assert merge_usage("anthropic.messages", [start, *deltas]) == Usage(123, 11, 100, 20)


@pytest.mark.parametrize(
    ("objects", "usage"),
    [
        ([{"trafficType": "ON_DEMAND"}], None),
        ([{"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13}], Usage(9, 4)),
        (
            [
                {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 89, "thoughtsTokenCount": 78},
                {"promptTokenCount": 87, "totalTokenCount": 165, "thoughtsTokenCount": 78},
                {"trafficType": "ON_DEMAND"},
            ],
            Usage(87, 78, reasoning_tokens=78),
        ),
        (
            [
                {
                    "promptTokenCount": 20,
                    "toolUsePromptTokenCount": 100,
                    "cachedContentTokenCount": 16,
                    "candidatesTokenCount": 7,
                    "thoughtsTokenCount": 30,
                    "totalTokenCount": 157,
                }
            ],
            Usage(120, 37, 16, reasoning_tokens=30),
        ),
        ([{"promptTokenCount": 9}], Usage(9)),
        ([{"promptTokenCount": 9, "totalTokenCount": 9}], Usage(9, 0)),
        ([{"promptTokenCount": "9", "candidatesTokenCount": True}], None),
    ],
    ids=["no figures", "plain", "last stands alone", "all kinds", "prompt alone", "nothing said", "nonsense"],
)
def test_gemini(objects: list[dict[str, Any]], usage: Usage | None) -> None:
    assert merge_usage("gemini.generate", objects) == usage


@given(
    objects=st.lists(
        st.dictionaries(
            st.sampled_from(
                ["prompt_tokens", "input_tokens", "completion_tokens", "prompt_tokens_details", "promptTokenCount"]
            ),
            st.none() | st.integers() | st.booleans() | st.text() | st.dictionaries(st.text(), st.integers()),
        )
    )
)
def test_never_raises(objects: list[dict[str, Any]]) -> None:
    for api in APIS:
        usage = merge_usage(api, objects)
        assert usage is None or (usage.input_tokens or 0) >= 0


def test_equals_the_provider_in_every_recorded_exchange(cassettes: list[Cassette]) -> None:
    wrong = []
    for one in cassettes:
        usage, truth = merge_usage(one.api, one.read().usage), one.record["usage"]
        if truth is None or truth["raw"].keys() <= {"trafficType"}:
            assert usage is None, one.id
            continue
        assert usage is not None, one.id
        parts = (usage.cached_tokens or 0, usage.cache_write_tokens or 0, usage.reasoning_tokens or 0)
        found = (usage.input_tokens, usage.output_tokens, *parts)
        if found != _expected(one, truth):
            wrong.append((one.id, found, _expected(one, truth)))
    assert wrong == []


def _expected(one: Cassette, truth: dict[str, Any]) -> tuple[int, ...]:
    """The files' summary, with the figures that it leaves out taken from the provider's own object beside it."""
    raw = dict(_leaves(truth["raw"]))
    cached = truth["cached_input_tokens"] or raw.get("num_cached_tokens", 0)
    written = truth["cache_write_tokens"] or raw.get("cache_write_tokens", 0)
    reasoning = truth["reasoning_tokens"] or raw.get("thinking_tokens", 0)
    if one.api == "gemini.generate":
        reasoning = truth["reasoning_tokens"] or 0
        tools = raw.get("toolUsePromptTokenCount", 0)
        return (truth["input_tokens"] + tools, truth["output_tokens"] + reasoning, cached, written, reasoning)
    given = raw["total_tokens"] if truth["input_tokens"] is None else truth["input_tokens"]
    if one.api == "anthropic.messages":
        given += cached + written
    return (given, truth["output_tokens"], cached, written, reasoning)


def _leaves(content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield name, value


def test_whole_numbers_written_as_floats_are_figures() -> None:
    found = merge_usage("openai.chat", [{"prompt_tokens": 12.0, "completion_tokens": 3.5}])
    assert found == Usage(input_tokens=12)


@pytest.mark.parametrize("api", ["openai.chat", "anthropic.messages"])
def test_nothing_but_zeros_is_no_report(api: Api) -> None:
    zeros = {"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    assert merge_usage(api, [zeros]) is None
