"""The settled figure: per side the strongest source, and for a cut stream what it really gave."""

import json
import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from penstock.schemas.attribution import Attribution
from penstock.schemas.facts import facts_of
from penstock.schemas.frames import CHUNK, read_event
from penstock.streams.count import Birth, Exchange
from penstock.streams.settle import final_totals, running_totals, settle
from penstock.wire.tokens import count_text, encoding_for

from .scripts import T0_US, TAP, Talk, applied


def settled(events: Sequence[bytes]) -> Attribution:
    exchange = Exchange("x", Birth(TAP, 1, 0, T0_US), 1 << 20)
    for raw in events:
        exchange.feed(read_event(raw))
    assert exchange.completion is not None
    return settle(exchange, exchange.completion, "v1")


def usage(**given: Any) -> list[dict[str, Any]]:
    return [{"prompt_tokens": 90, "completion_tokens": 40, "total_tokens": 130, **given}]


def sources(found: Attribution) -> tuple[str, str]:
    return found.input.source, found.output.source


def test_reported_figures_win_and_our_own_count_stands_beside_them() -> None:
    talk = Talk()
    parts = {"prompt_tokens_details": {"cached_tokens": 60}, "completion_tokens_details": {"reasoning_tokens": 5}}
    found = settled([*talk.prompt(), talk.words(7), talk.end(usage=usage(**parts), finish_reason="stop")])
    assert sources(found) == ("reported", "reported")
    assert (found.input.tokens, found.output.tokens, found.counted_output_tokens) == (90, 40, 7)
    assert (found.cached_tokens, found.reasoning_tokens, found.lower_bound) == (60, 5, False)
    # gpt-4o: 2.50 USD per million input tokens, 1.25 cached, 10 output
    assert found.cost_usd == Decimal("0.00055")
    assert found.price_source.endswith("gpt-4o")


def test_a_reply_that_was_counted_from_samples_is_an_estimate() -> None:
    talk = Talk()
    text = "".join(random.Random(1).choices("aB1!", k=300_000))
    found = settled([*talk.prompt(), talk.sse({"choices": [{"index": 0, "delta": {"content": text}}]}), talk.end()])
    assert (found.output.source, found.output.method) == ("estimated", "o200k_base")
    assert found.output.tokens == pytest.approx(count_text(encoding_for("gpt-4o", "openai.chat"), text), rel=0.05)


def test_the_place_in_a_trace_is_that_of_the_prompt() -> None:
    talk = Talk()
    found = settled([*talk.prompt(), talk.words(1), talk.end()])
    row = dict(facts_of(found, "event"))["exchange_facts"]
    named = ("trace_id", "parent_span_id", "span_id")
    wanted = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7")
    assert tuple(getattr(found, name) for name in named) == tuple(row[name] for name in named) == wanted


def test_without_usage_both_sides_are_counted() -> None:
    talk = Talk()
    found = settled([*talk.prompt("hello"), talk.words(7), talk.end(finish_reason="stop")])
    assert sources(found) == ("counted", "counted")
    assert (found.input.tokens, found.output.tokens) == (8, 7)
    assert found.output.method == "o200k_base"
    assert found.usage_source == "counted"


@pytest.mark.parametrize("outcome", ["killed", "client_disconnected", "upstream_error"])
def test_a_cut_stream_keeps_every_word_it_gave(outcome: str) -> None:
    talk = Talk()
    found = settled([*talk.prompt(), *(talk.words(1) for _ in range(806)), talk.end(outcome)])
    assert (found.output.tokens, found.output.source) == (806, "counted")
    assert not found.lower_bound


def test_what_anthropic_reports_first_is_no_final_figure_of_a_cut_stream() -> None:
    talk = Talk(model="claude-sonnet-4-5", api="anthropic.messages")
    start = {
        "message": {
            "id": "m",
            "model": talk.model,
            "usage": {"input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 1},
        }
    }
    delta = {"index": 0, "delta": {"type": "text_delta", "text": " a" * 50}}
    events = [
        *talk.prompt(),
        talk.sse({"type": "message_start", **start}, name="message_start"),
        talk.sse({"type": "content_block_delta", **delta}, name="content_block_delta"),
    ]
    found = settled([*events, talk.end("client_disconnected")])
    assert (found.input.tokens, found.input.source, found.cached_tokens) == (110, "reported", 100)
    assert found.output.source == "estimated"
    assert found.output.tokens > 40


@pytest.mark.parametrize(("kind", "lower"), [("text", False), ("thinking", True), ("redacted_thinking", True)])
def test_thoughts_of_claude_are_shown_in_part(kind: str, lower: bool) -> None:
    talk = Talk(model="claude-sonnet-4-5", api="anthropic.messages")
    asked = talk.prompt()
    start = talk.sse({"type": "content_block_start", "index": 0, "content_block": {"type": kind}})
    said = talk.sse({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": " a"}})
    assert settled([*asked, start, said, talk.end("killed")]).lower_bound == lower


def test_cumulative_deltas_are_not_added_up() -> None:
    talk = Talk(model="claude-sonnet-4-5", api="anthropic.messages")
    reported = [
        {"input_tokens": 10, "output_tokens": 1},
        {"output_tokens": 20},
        {"input_tokens": 10, "output_tokens": 45},
    ]
    found = settled([*talk.prompt(), talk.end(usage=reported, finish_reason="end_turn")])
    assert (found.input.tokens, found.output.tokens) == (10, 45)


def test_a_cut_stream_of_a_model_that_thinks_unseen_is_a_lower_bound() -> None:
    talk = Talk(model="o3")
    found = settled([*talk.prompt(), talk.words(5), talk.end("killed")])
    assert (found.lower_bound, found.output.source) == (True, "estimated")


def test_a_refused_or_unreached_request_costs_nothing() -> None:
    for given in (
        {"outcome": "blocked", "status": 429, "upstream_status": 0},
        {"outcome": "upstream_error", "status": 500, "upstream_status": 500},
        {"outcome": "upstream_error", "status": 502, "upstream_status": 0},
        {"outcome": "tap_error", "status": 400, "upstream_status": 0},
    ):
        talk = Talk()
        found = settled([*talk.prompt(), talk.write(CHUNK, b'{"error":{}}', origin=b"tap"), talk.end(**given)])
        assert sources(found) == ("none", "none"), given
        assert (found.cost_usd, found.lower_bound) == (0, False)
        assert final_totals(found).requests == (0 if given["outcome"] == "blocked" else 1)


@pytest.mark.parametrize(
    ("given", "body"),
    [
        ({"status": 302, "upstream_status": 302}, b"<html>moved</html>"),
        ({"status": 304, "upstream_status": 304}, b""),
        ({"status": 204, "upstream_status": 204}, b""),
        ({"content_type": "text/html; charset=utf-8"}, b"<!doctype html><p>Sign in to the network</p>"),
        ({"content_type": "application/xhtml+xml"}, b"<html/>"),
    ],
    ids=["302", "304", "204", "html", "xhtml"],
)
def test_an_answer_that_no_model_gave_costs_nothing(given: dict[str, Any], body: bytes) -> None:
    talk = Talk()
    found = settled([*talk.prompt(), *([talk.write(CHUNK, body)] if body else []), talk.end(**given)])
    assert sources(found) == ("none", "none")
    assert (found.cost_usd, final_totals(found).requests) == (0, 1)


def test_a_model_s_answer_counts_whatever_it_calls_itself() -> None:
    talk = Talk()
    answer = b'{"model":"gpt-4o","choices":[{"index":0,"message":{"content":"one two"}}]}'
    found = settled([*talk.prompt(), talk.write(CHUNK, answer), talk.end(content_type="text/html")])
    assert (found.input.tokens, found.output.tokens) == (8, 2)


PICTURE = {"input_tokens": 11, "output_tokens": 272, "total_tokens": 283, "input_tokens_details": {"text_tokens": 11}}


@pytest.mark.parametrize(
    ("path", "usage", "tokens", "source"),
    [
        ("/v1/images/generations", PICTURE, (11, 272), "reported"),
        ("/v1/audio/transcriptions", {"type": "duration", "seconds": 9}, (0, 0), "none"),
        ("/v1/rerank", {"total_tokens": 40}, (40, 0), "reported"),
        ("/v1/moderations", None, (0, 0), "none"),
        ("/v1/batches/b1/cancel", PICTURE, (0, 0), "none"),
    ],
)
def test_of_what_is_not_read_the_reported_usage_alone_counts(
    path: str, usage: dict[str, Any] | None, tokens: tuple[int, int], source: str
) -> None:
    talk = Talk(model="gpt-image-1", api="opaque", path=path)
    answer = json.dumps({"created": 1, "data": [{"b64_json": "aGk="}], "usage": usage}).encode()
    found = settled([*talk.prompt(), talk.write(CHUNK, answer), talk.end()])
    assert (found.input.tokens, found.output.tokens, found.input.source) == (*tokens, source)
    assert found.usage_raw == ([usage] if source == "reported" or "transcriptions" in path else [])


def test_of_a_stream_of_pictures_too() -> None:
    talk = Talk(model="gpt-image-1", api="opaque", path="/v1/images/edits")
    events = talk.prompt()
    events.append(talk.sse({"type": "image_generation.partial_image", "b64_json": "aGk="}))
    events.append(talk.sse({"type": "image_generation.completed", "b64_json": "aGk=", "usage": PICTURE}))
    found = settled([*events, talk.end()])
    assert (found.input.tokens, found.output.tokens, found.output.source) == (11, 272, "reported")


def test_a_request_that_was_left_before_its_answer_is_charged_its_prompt() -> None:
    talk = Talk()
    found = settled([*talk.prompt(), talk.end("client_disconnected", status=0, upstream_status=0)])
    assert (found.input.tokens, found.output.tokens, found.lower_bound) == (8, 0, True)


def test_an_unknown_model_has_no_price_and_is_estimated() -> None:
    talk = Talk(model="in-house-7b")
    found = settled([*talk.prompt(), talk.words(7), talk.end(finish_reason="stop")])
    assert (found.cost_usd, found.price_source) == (None, "")
    assert sources(found)[1] == "estimated"
    assert final_totals(found).cost_usd == 0


def test_a_kill_says_what_was_given_beyond_the_limit_and_how_long_it_took() -> None:
    talk = Talk()
    events = [*talk.prompt(), talk.words(30), talk.words(12), talk.words(5, withheld=True)]
    found = settled([*events, talk.end("killed", killed_by=applied(35))])
    assert found.kill is not None
    assert (found.output.tokens, found.kill.overshoot_tokens, found.kill.cut_us) == (47, 7, 7000)


def test_a_refused_request_is_no_kill() -> None:
    talk = Talk()
    assert settled([*talk.prompt(), talk.end("blocked", status=429, killed_by=applied(0))]).kill is None


@pytest.mark.parametrize(("allowed", "crossed"), [(None, None), (99, T0_US)])
def test_an_order_without_a_limit_and_one_that_was_early_have_no_overshoot(
    allowed: int | None, crossed: int | None
) -> None:
    talk = Talk()
    order = applied(allowed, crossed_at_us=crossed)
    found = settled([*talk.prompt(), talk.words(30), talk.end("killed", killed_by=order)])
    assert found.kill is not None and found.kill.overshoot_tokens == 0
    assert (found.kill.cut_us is None) == (crossed is None)


def test_running_totals_are_priced_when_a_limit_asks_for_it() -> None:
    talk = Talk()
    exchange = Exchange("x", Birth(TAP, 1, 0, T0_US), 1 << 20)
    for raw in [*talk.prompt(), talk.words(10)]:
        exchange.feed(read_event(raw))
    plain, priced = running_totals(exchange, priced=False), running_totals(exchange, priced=True)
    assert (plain.input_tokens, plain.output_tokens, plain.cost_usd) == (8, 10, 0)
    assert priced.cost_usd == Decimal("0.00012")
