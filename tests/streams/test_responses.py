"""Background responses: whoever reports them, each token is charged once."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas import topics
from penstock.schemas.attribution import Attribution
from penstock.schemas.frames import CHUNK
from penstock.schemas.usage import MeterPosition, ResponseCharge, UsageTotal
from penstock.streams import responses
from penstock.streams.emission import Emission
from penstock.streams.tally import Tally

from .scripts import Talk, frame, limit, rules

LIMITS = (limit(amount=10_000), limit(id="model", scope="model:o3", amount=10_000))


def usage(given: int = 30, output: int = 200) -> dict[str, Any]:
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 10},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 120},
        "total_tokens": given + output,
    }


def answer(status: str, figures: dict[str, Any] | None = None, *, background: bool = True) -> dict[str, Any]:
    output = [{"type": "message", "content": [{"type": "output_text", "text": " a" * 50}]}] if figures else []
    return {
        "id": "resp_1",
        "object": "response",
        "model": "o3-2025-04-16",
        "background": background,
        "status": status,
        "output": output,
        "usage": figures,
    }


class About(Talk):
    """One exchange about the response `resp_1`."""

    def __init__(self, method: str = "GET", path: str = "/v1/responses/resp_1") -> None:
        model = "" if "resp_" in path else "o3"
        super().__init__(model=model, api="openai.responses", method=method, path=path, stream="stream" in path)

    def whole(self, said: dict[str, Any], *, asked: dict[str, Any] | None = None) -> list[bytes]:
        """Asked and answered at once."""
        head = self.prompt(body=json.dumps(asked).encode()) if asked else self.prompt()[:1]
        return [*head, self.write(CHUNK, json.dumps(said).encode()), self.end()]


def posted(said: dict[str, Any] | None = None, **asked: Any) -> list[bytes]:
    asked = {"model": "o3", "input": "hello", "background": True, **asked}
    return About("POST", "/v1/responses").whole(said or answer("queued"), asked=asked)


def fetched(said: dict[str, Any]) -> list[bytes]:
    return About().whole(said)


def streamed(
    count: int, *, method: str = "GET", end: bool = True, figures: dict[str, Any] | None = None
) -> list[bytes]:
    """A stream of so many tokens of text, cut behind them unless it comes to its `end`."""
    talk = About("POST", "/v1/responses") if method == "POST" else About(path="/v1/responses/resp_1?stream=true")
    body = json.dumps({"model": "o3", "input": "hello", "background": True, "stream": True}).encode()
    events = talk.prompt(body=body) if method == "POST" else talk.prompt()[:1]
    events.append(talk.sse({"type": "response.created", "response": answer("in_progress")}))
    events += [talk.sse({"type": "response.output_text.delta", "delta": " a"}) for _ in range(count)]
    if end:
        events.append(talk.sse({"type": "response.completed", "response": answer("completed", usage())}))
    return [*events, talk.end("completed" if end else "client_disconnected")]


def run(tally: Tally, *exchanges: list[bytes], first: int = 0) -> list[Emission]:
    return [said for at, events in enumerate(exchanges) for said in tally.apply(frame(first + at, events), 1)]


def charged(said: list[Emission]) -> list[tuple[int, int]]:
    return [(one.model.input.tokens, one.model.output.tokens) for one in said if isinstance(one.model, Attribution)]


def totals(said: list[Emission], limit_id: str = "l") -> int:
    last = {(one.model.exchange_id, one.model.limit_id): one.model for one in said if isinstance(one.model, UsageTotal)}
    assert all(total.final for total in last.values())
    return sum(total.totals.output_tokens for total in last.values() if total.limit_id == limit_id)


def fresh() -> Tally:
    return Tally(0, rules(*LIMITS))


def test_the_first_report_is_charged_and_repeats_are_not() -> None:
    done = fetched(answer("completed", usage()))
    again = fetched(answer("completed", usage()))
    said = run(fresh(), posted(), fetched(answer("in_progress")), done, again, fetched(answer("completed", usage())))
    assert charged(said) == [(0, 0), (0, 0), (30, 200), (0, 0), (0, 0)]
    assert totals(said) == 200
    attributions = [one.model for one in said if isinstance(one.model, Attribution)]
    assert [one.input.source for one in attributions] == ["none", "none", "reported", "none", "none"]
    assert [one.lower_bound for one in attributions] == [True, False, False, False, False]
    assert (attributions[2].cached_tokens, attributions[2].reasoning_tokens) == (10, 120)
    assert attributions[2].cost_usd > 0
    assert [one.cost_usd for one in attributions[3:]] == [0, 0]


def test_a_limit_on_the_model_that_was_asked_for_holds_for_whoever_fetches() -> None:
    said = run(fresh(), posted(), fetched(answer("completed", usage())))
    found = {(one.model.limit_id, one.model.scope) for one in said if isinstance(one.model, UsageTotal)}
    assert found == {("l", "team:research"), ("model", "model:o3")}
    by_model = [one.model for one in said if isinstance(one.model, UsageTotal) and one.model.limit_id == "model"]
    assert sum(total.totals.output_tokens for total in by_model if total.final) == 200


def test_what_a_cut_stream_was_charged_is_not_charged_again() -> None:
    said = run(fresh(), streamed(40, method="POST", end=False), fetched(answer("completed", usage())))
    given, output = charged(said)[0]
    assert (output, given > 0) == (46, True)  # 40 words, and the method's offset
    assert charged(said)[1] == (30 - given, 200 - output)
    assert totals(said) == 200


def test_a_stream_that_came_to_its_end_leaves_nothing() -> None:
    said = run(fresh(), streamed(40, method="POST"), streamed(40), fetched(answer("completed", usage())))
    assert charged(said) == [(30, 200), (0, 0), (0, 0)]
    assert totals(said) == 200


def test_a_response_that_was_fetched_while_its_stream_ran() -> None:
    said = run(fresh(), fetched(answer("completed", usage())), streamed(40, method="POST"))
    assert charged(said) == [(30, 200), (0, 0)]


def test_two_that_are_made_are_two_whatever_they_are_called() -> None:
    said = run(fresh(), *(streamed(40, method="POST") for _ in range(3)), fetched(answer("completed", usage())))
    assert charged(said) == [(30, 200)] * 3 + [(0, 0)]


def test_a_fetched_stream_counts_while_it_runs() -> None:
    tally, talk = fresh(), About(path="/v1/responses/resp_1?stream=true")
    run(tally, posted())
    events = [*talk.prompt()[:1], talk.sse({"type": "response.created", "response": answer("in_progress")})]
    events += [talk.sse({"type": "response.output_text.delta", "delta": " a"}) for _ in range(40)]
    said = tally.apply(frame(1, events), 1)
    running = [one.model for one in said if isinstance(one.model, UsageTotal)]
    assert {(one.scope, one.totals.output_tokens) for one in running} == {("team:research", 46), ("model:o3", 46)}


def test_a_response_of_the_foreground_is_its_posts_alone() -> None:
    made = answer("completed", usage(), background=False)
    said = run(fresh(), posted(made, background=False), fetched(made), fetched(made))
    assert charged(said) == [(30, 200), (0, 0), (0, 0)]
    assert not [one for one in said if isinstance(one.model, ResponseCharge)]


def test_a_cancelled_one_that_reports() -> None:
    cancel = About("POST", "/v1/responses/resp_1/cancel").whole(answer("cancelled", usage(30, 90)), asked={"x": 1})
    said = run(fresh(), posted(), cancel, fetched(answer("cancelled", usage(30, 90))))
    assert charged(said) == [(0, 0), (30, 90), (0, 0)]


def test_one_that_nobody_here_made_is_charged_to_its_first_reader() -> None:
    said = run(fresh(), fetched(answer("completed", usage())), fetched(answer("completed", usage())))
    assert charged(said) == [(30, 200), (0, 0)]


def test_as_many_are_remembered_as_there_is_room_for(monkeypatch: Any) -> None:
    monkeypatch.setattr(responses, "RESPONSES_KEPT", 1)
    tally = fresh()
    other = {**answer("completed", usage()), "id": "resp_2"}
    said = run(tally, fetched(answer("completed", usage())), About(path="/v1/responses/resp_2").whole(other))
    gone = [one for one in said if one.topic == topics.BUDGETS and one.model is None]
    assert [one.key for one in gone] == ["response|openai|resp_1|meter:0"]
    assert gone[0].partition == 0


STEPS = st.lists(st.sampled_from(["poll", "done", "cut", "resumed", "foreground"]), max_size=12)


@given(st.sampled_from([[], ["post"], ["posted and cut"]]), STEPS, st.data())
def test_every_token_once_whatever_comes_and_wherever_the_meter_is_restarted(
    first: list[str], steps: list[str], data: Any
) -> None:
    made = {
        "post": posted,
        "posted and cut": lambda: streamed(20, method="POST", end=False),
        "poll": lambda: fetched(answer("in_progress")),
        "done": lambda: fetched(answer("completed", usage())),
        "cut": lambda: streamed(data.draw(st.integers(0, 60)), end=False),
        "resumed": lambda: streamed(5),
        "foreground": lambda: fetched(answer("completed", usage(), background=False)),
    }
    frames = [frame(at, made[step]()) for at, step in enumerate([*first, *steps])]
    tally, found, written, settled_at = fresh(), {}, {}, None
    for one in frames:
        for said in tally.apply(one, 1):
            if isinstance(said.model, Attribution):
                found[said.model.exchange_id] = said.model
            elif isinstance(said.model, ResponseCharge):
                written[said.key] = said.model
        if data.draw(st.booleans()):
            settled_at = MeterPosition.model_validate_json(tally.position().model_dump_json())
        if data.draw(st.booleans()):
            tally = fresh()
            for charge in written.values():
                tally.responses.adopt(ResponseCharge.model_validate_json(charge.model_dump_json()))
            if settled_at is not None:
                tally.adopt(settled_at)
            for again in frames[settled_at.next_offset if settled_at else 0 : one.offset + 1]:
                for said in tally.apply(again, 1):
                    if isinstance(said.model, Attribution):
                        assert said.model == found[said.model.exchange_id]
    sums = [sum(getattr(one, side).tokens for one in found.values()) for side in ("input", "output")]
    if {"done", "resumed"} & set(steps):
        assert sums == [30, 200]
