"""Gemini's replies while they run and when they are settled: events or array elements, however they were cut."""

import itertools
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.schemas.attribution import Attribution
from penstock.schemas.frames import CHUNK, read_event
from penstock.streams.count import Birth, Exchange
from penstock.streams.settle import final_totals, settle

from .scripts import T0_US, TAP, Talk

MODEL = "gemini-2.5-flash"
BODY = json.dumps({"contents": [{"parts": [{"text": "What is the capital of France?"}]}]}).encode()
WORDS = " a" * 10


def spoken(text: str, **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}], **more}


def figures(said: int, thought: int, given: int = 8) -> dict[str, Any]:
    counts = {"promptTokenCount": given, "candidatesTokenCount": said, "thoughtsTokenCount": thought}
    return {"usageMetadata": {**counts, "totalTokenCount": given + said + thought}}


def begun(talk: Talk) -> Exchange:
    exchange = Exchange("x", Birth(TAP, 1, 0, T0_US), 1 << 20)
    for raw in talk.prompt(body=BODY):
        exchange.feed(read_event(raw))
    return exchange


def settled(exchange: Exchange, *events: bytes) -> Attribution:
    for raw in events:
        exchange.feed(read_event(raw))
    assert exchange.completion is not None
    return settle(exchange, exchange.completion, "v1")


def test_it_is_counted_while_it_runs() -> None:
    talk = Talk(model=MODEL, api="gemini.generate")
    exchange = begun(talk)
    counts = []
    for _ in range(3):
        exchange.feed(read_event(talk.sse(spoken(WORDS))))
        counts.append(exchange.output_tokens)
    assert counts == [10, 21, 31]  # 1.04 times the vocabulary's
    assert exchange.input is not None
    assert (exchange.input.tokens, exchange.input.method) == (8, "cl100k_base*1.04")
    assert (exchange.model, exchange.request.stream) == (MODEL, True)


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 500), max_size=8))
def test_an_array_counts_as_events_do_however_it_is_cut(cuts: list[int]) -> None:
    chunks = [spoken(WORDS), spoken('","}]['), spoken(WORDS, **figures(30, 7))]
    array = "[" + "\n,\r\n".join(json.dumps(chunk, indent=1) for chunk in chunks) + "\n]\n"
    talk, other = Talk(model=MODEL, api="gemini.generate"), Talk(model=MODEL, api="gemini.generate")
    events, pieces = begun(talk), begun(other)
    for chunk in chunks:
        events.feed(read_event(talk.sse(chunk)))
    bounds = [0, *sorted(cut for cut in cuts if cut < len(array)), len(array)]
    for start, end in itertools.pairwise(bounds):
        if end > start:
            pieces.feed(read_event(other.write(CHUNK, array[start:end].encode())))
    assert pieces.output_tokens == events.output_tokens > 20
    found = settled(pieces, other.end(finish_reason="STOP"))
    assert (found.input.tokens, found.output.tokens, found.reasoning_tokens) == (8, 37, 7)


def test_an_array_is_counted_before_it_ends() -> None:
    talk = Talk(model=MODEL, api="gemini.generate")
    exchange = begun(talk)
    exchange.feed(read_event(talk.write(CHUNK, b"[" + json.dumps(spoken(WORDS)).encode())))
    assert exchange.output_tokens == 10
    exchange.feed(read_event(talk.write(CHUNK, b",\n" + json.dumps(spoken(WORDS)).encode())))
    assert exchange.output_tokens == 21
    assert exchange.reply is not None and exchange.reply.unread_bytes == 0


def test_an_array_whose_beginning_was_not_seen_is_counted_from_there() -> None:
    talk = Talk(model=MODEL, api="gemini.generate")
    exchange = Exchange("x", Birth(TAP, 1, -1, T0_US), 1 << 20, prefix_unseen=True)
    talk.seq = 9
    for _ in range(2):
        piece = b",\n" + json.dumps(spoken(WORDS, **figures(50, 0))).encode()
        exchange.feed(read_event(talk.write(CHUNK, piece)))
    assert exchange.output_tokens > 15
    assert exchange.reply is not None and exchange.reply.reader.api == "gemini.generate"


def test_what_was_reported_is_settled_and_priced() -> None:
    talk = Talk(model=MODEL, api="gemini.generate")
    exchange = begun(talk)
    last = figures(30, 100, given=1000)
    last["usageMetadata"] |= {"cachedContentTokenCount": 400, "toolUsePromptTokenCount": 50, "totalTokenCount": 1180}
    usage = [figures(9, 100)["usageMetadata"], last["usageMetadata"]]
    found = settled(exchange, talk.sse(spoken(WORDS, **last)), talk.end(finish_reason="STOP", usage=usage))
    assert (found.input.tokens, found.output.tokens) == (1050, 130)
    assert (found.cached_tokens, found.reasoning_tokens, found.output.source) == (400, 100, "reported")
    # gemini-2.5-flash: 0.30 USD per million input tokens, 0.03 cached, 2.50 output
    assert found.cost_usd == Decimal("0.000532")
    assert found.price_source.endswith("google/gemini-2.5-flash")


def test_a_cut_stream_is_charged_the_thoughts_that_were_reported() -> None:
    talk = Talk(model=MODEL, api="gemini.generate")
    found = settled(begun(talk), talk.sse(spoken(WORDS, **figures(10, 300))), talk.end("killed"))
    assert (found.output.tokens, found.output.source, found.reasoning_tokens) == (310, "reported", 300)
    assert found.lower_bound
    talk = Talk(model=MODEL, api="gemini.generate")
    found = settled(begun(talk), talk.sse(spoken(WORDS * 5)), talk.end("killed"))
    assert (found.output.tokens, found.output.source, found.lower_bound) == (52, "estimated", True)


@pytest.mark.parametrize("api", ["anthropic.count_tokens", "gemini.count_tokens"])
def test_counting_tokens_is_a_request_that_costs_nothing(api: str) -> None:
    model = "claude-sonnet-4-5" if api.startswith("anthropic") else MODEL
    talk = Talk(model=model, api=api)
    answer = talk.write(CHUNK, b'{"input_tokens": 2095, "totalTokens": 2095, "usage": {"input_tokens": 7}}')
    found = settled(begun(talk), answer, talk.end())
    assert (found.input.tokens, found.output.tokens, found.cost_usd) == (0, 0, Decimal(0))
    assert (found.api, found.model, found.lower_bound) == (api, model, False)
    assert final_totals(found).requests == 1


def test_embeddings_are_charged_their_input() -> None:
    talk = Talk(model="gemini-embedding-001", api="gemini.embed")
    found = settled(begun(talk), talk.write(CHUNK, b'{"embeddings": [{"values": [0.1]}]}'), talk.end())
    assert (found.input.tokens, found.input.source, found.output.tokens) == (8, "estimated", 0)
    assert found.cost_usd is not None and found.cost_usd > 0
