"""A partition's running exchanges: what is said of them, who is settled by whom, and restarts at any point."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.schemas import frames, topics
from penstock.schemas.attribution import Attribution
from penstock.schemas.audit import AuditEvent
from penstock.schemas.control import Order
from penstock.schemas.ids import rfc3339
from penstock.schemas.records import Record, write_record
from penstock.schemas.usage import MeterPosition, UsageTotal
from penstock.streams.emission import Emission
from penstock.streams.intake import TrafficFrame
from penstock.streams.tally import Tally

from .scripts import SALT, T0_US, TAP, Talk, applied, frame, limit, rules, tap_started

TEAM = limit(id="team")
OWN = limit(id="own", scope="exchange:*", amount=5)


def models(said: Iterable[Emission], topic: str) -> list[object]:
    return [emission.model for emission in said if emission.topic == topic]


def written(emission: Emission) -> Record | None:
    """What the outlet makes of it."""
    said = emission
    if said.model is None:
        return None
    return write_record(said.model, id=said.id, type=said.type, source="/t", subject=said.subject, time_us=said.time_us)


def run(tally: Tally, *given: TrafficFrame) -> list[Emission]:
    return [emission for one in given for emission in tally.apply(one, T0_US + 10)]


def test_the_own_limit_is_decided_at_the_very_chunk_that_passes_it() -> None:
    talk, tally = Talk(), Tally(0, rules(OWN))
    prompt, chunks = talk.prompt(), [talk.words(2), talk.words(2), talk.words(3), talk.words(2)]
    said = run(tally, frame(0, prompt), frame(1, chunks))
    (order,) = models(said, topics.CONTROL)
    assert isinstance(order, Order)
    assert (order.scope, order.allowed_output_tokens, order.epoch) == (f"exchange:{talk.id}", 5, T0_US + 1_000_000)
    assert order.crossed_at_us == talk.now_us - 1000
    assert len(models(said, topics.VIOLATIONS["budget"])) == 1
    assert models(run(tally, frame(2, [talk.words(9)])), topics.CONTROL) == []


def test_a_killed_exchange_settles_with_its_overshoot_and_its_order_is_lifted() -> None:
    talk, tally = Talk(), Tally(0, rules(OWN))
    run(tally, frame(0, [*talk.prompt(), talk.words(4), talk.words(3)]))
    cut = [talk.words(2), talk.words(2, withheld=True)]
    said = run(tally, frame(1, [*cut, talk.end("killed", killed_by=applied(5))]))
    (settled,) = models(said, topics.ATTRIBUTION)
    assert isinstance(settled, Attribution) and settled.kill is not None
    assert (settled.output.tokens, settled.output.source) == (11, "counted")
    assert (settled.kill.overshoot_tokens, settled.kill.cut_us) == (9 - 5, 7000)
    assert [(emission.key, emission.model) for emission in said if emission.topic == topics.CONTROL] == [
        (f"exchange:{talk.id}|meter|own|", None)
    ]
    (audit,) = models(said, topics.AUDIT)
    assert isinstance(audit, AuditEvent)
    assert (audit.act, audit.details["overshoot_tokens"], audit.details["cut_us"]) == ("kill_applied", 4, 7000)


def test_running_totals_are_absolute_and_one_per_frame_and_limit() -> None:
    talk, tally = Talk(), Tally(0, rules(TEAM, limit(id="key", scope="key:*"), limit(id="other", scope="team:x")))
    said = run(tally, frame(0, [*talk.prompt(), talk.words(2), talk.words(1)]), frame(1, [talk.words(4)]))
    totals = [total for total in models(said, topics.USAGE) if isinstance(total, UsageTotal)]
    assert [(total.limit_id, total.scope, total.totals.output_tokens) for total in totals] == [
        ("team", "team:research", 3),
        ("key", "key:k1", 3),
        ("team", "team:research", 7),
        ("key", "key:k1", 7),
    ]
    assert [tokens for _, tokens in totals[0].steps] == [2, 3]
    assert {total.started_at_us for total in totals} == {T0_US}


def test_a_blocked_request_counts_for_nothing() -> None:
    talk, tally = Talk(), Tally(0, rules(TEAM))
    said = run(tally, frame(0, [*talk.prompt(), talk.end("blocked", status=429, upstream_status=0)]))
    (settled,) = models(said, topics.ATTRIBUTION)
    assert isinstance(settled, Attribution)
    assert (settled.input.source, settled.output.source, settled.cost_usd) == ("none", "none", 0)
    assert models(said, topics.USAGE) == []


def test_a_blocked_request_that_was_said_to_run_is_taken_back() -> None:
    talk, tally = Talk(), Tally(0, rules(TEAM))
    run(tally, frame(0, talk.prompt()))
    said = run(tally, frame(1, [talk.end("blocked", status=429, upstream_status=0)]))
    (total,) = models(said, topics.USAGE)
    assert isinstance(total, UsageTotal)
    assert (total.final, total.totals.requests, total.totals.input_tokens) == (True, 0, 0)


def test_a_new_epoch_of_a_tap_settles_what_its_older_ones_left_open() -> None:
    first, second, ended, new = Talk(), Talk(), Talk(), Talk()
    tally = Tally(0, rules(TEAM))
    opening = [*first.prompt(), *second.prompt(), *ended.prompt(), first.words(3), ended.end()]
    run(tally, frame(0, opening))
    said = run(tally, frame(1, [tap_started(2), *new.prompt()], epoch=2))
    settled = {one.exchange_id: one for one in models(said, topics.ATTRIBUTION) if isinstance(one, Attribution)}
    assert settled.keys() == {first.id, second.id}
    assert {one.outcome for one in settled.values()} == {"tap_error"}
    assert settled[first.id].output.tokens == 3
    assert list(tally.open) == [new.id]
    finals = [one for one in models(said, topics.USAGE) if isinstance(one, UsageTotal) and one.final]
    assert [one.exchange_id for one in finals] == sorted([first.id, second.id])
    assert run(tally, frame(2, [first.words(1), first.end()])) == []


def test_of_an_exchange_that_began_too_early_the_suffix_is_estimated() -> None:
    talk, tally = Talk(), Tally(0, rules(limit(id="key", scope="key:*")))
    talk.prompt()
    late = frame(7, [talk.words(3), talk.end("client_disconnected")])
    assert tally.strangers(late) == {talk.id: None}
    (settled,) = models(run(tally, late), topics.ATTRIBUTION)
    assert isinstance(settled, Attribution)
    assert (settled.prefix_unseen, settled.lower_bound) == (True, True)
    assert (settled.output.tokens, settled.output.source) == (3, "estimated")


def test_a_replayed_exchange_is_looked_up_before_it_is_new() -> None:
    talk, tally = Talk(), Tally(0, rules(TEAM))
    events = [*talk.prompt(), talk.words(3), talk.end()]
    again = frame(5, events, replayed=True)
    assert tally.strangers(again) == {talk.id: None}
    tally.rebuild(frame(0, events), {talk.id})
    assert run(tally, again) == []


def test_what_runs_longer_than_is_read_again_is_kept_by_name() -> None:
    talk, tally = Talk(), Tally(0, rules(TEAM, rewind_max_bytes=3000))
    run(tally, frame(0, talk.prompt()), frame(1, [talk.words(1) for _ in range(12)]))
    position = MeterPosition.model_validate_json(tally.position().model_dump_json())
    assert position.open == {} and position.unseen[talk.id].seq == 13
    heir = Tally(0, rules(TEAM))
    heir.adopt(position)
    (settled,) = models(run(heir, frame(2, [tap_started(2)], epoch=2)), topics.ATTRIBUTION)
    assert isinstance(settled, Attribution)
    assert (settled.exchange_id, settled.outcome, settled.prefix_unseen) == (talk.id, "tap_error", True)


@st.composite
def partitions(draw: st.DrawFn) -> list[TrafficFrame]:
    """A partition: some exchanges interleaved, cut into frames anywhere, perhaps with a tap that starts again."""
    talks = [Talk(draw(st.sampled_from(["research", "sales"]))) for _ in range(draw(st.integers(1, 4)))]
    events: list[tuple[int, bytes]] = []
    running = {talk.id: talk for talk in talks}
    for talk in talks:
        events += [(1, raw) for raw in talk.prompt()]
    while running:
        talk = running[draw(st.sampled_from(sorted(running)))]
        if draw(st.integers(0, 4)) == 0:
            del running[talk.id]
            if draw(st.booleans()):
                events.append((1, talk.end(draw(st.sampled_from(["completed", "client_disconnected"])))))
        else:
            events.append((1, talk.words(draw(st.integers(1, 4)))))
    found, frames_of = [], []
    for event in events:
        found.append(event)
        if draw(st.integers(0, 2)) == 0:
            frames_of.append(found)
            found = []
    frames_of += [found] if found else []
    frames_of.append([(2, tap_started(2))])
    return [frame(offset, [raw for _, raw in content], epoch=content[0][0]) for offset, content in enumerate(frames_of)]


def essence(said: Iterable[Emission]) -> dict[tuple[str, str, str], object]:
    """By topic, key and id what was said last; an order without the time of its decision."""
    found: dict[tuple[str, str, str], object] = {}
    for emission in said:
        model = emission.model
        if isinstance(model, Order):
            model = model.model_copy(update={"issued_at_us": 0, "expires_at_us": 0})
        if not (isinstance(model, AuditEvent) and model.act == "kill_decided"):
            found[emission.topic, emission.key, emission.id] = model
    return found


@given(partitions(), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=4))
@settings(max_examples=150, deadline=None)
def test_a_restart_at_any_point_says_the_same(read: list[TrafficFrame], crashes: list[tuple[int, int]]) -> None:
    told = rules(TEAM, OWN, limit(id="key", scope="key:*", unit="total_tokens", amount=30))
    plain = run(Tally(0, told), *read)
    tally, said, settled_at = Tally(0, told), [], None
    crash_at = {crash % len(read): save for crash, save in crashes}
    offset = 0
    while offset < len(read):
        said += run(tally, read[offset])
        offset += 1
        if offset - 1 in crash_at and (save := crash_at.pop(offset - 1)) is not None:
            if save % 2:
                settled_at = MeterPosition.model_validate_json(tally.position().model_dump_json())
            tally = Tally(0, told)
            if settled_at is None:
                offset = 0
                continue
            tally.adopt(settled_at)
            first = min(settled_at.open.values(), default=settled_at.next_offset)
            for again in read[first : settled_at.next_offset]:
                tally.rebuild(again, settled_at.open)
            offset = settled_at.next_offset
    assert essence(said) == essence(plain)
    ids = {event.exchangeid for one in read for _, event in one.events if event.exchangeid}
    assert {one.exchange_id for one in models(said, topics.ATTRIBUTION) if isinstance(one, Attribution)} == ids


def test_no_steps_pile_up_where_no_shared_limit_asks_for_them() -> None:
    talk, tally = Talk(), Tally(0, rules(OWN))
    run(tally, frame(0, talk.prompt()), *(frame(1 + number, [talk.words(1)]) for number in range(50)))
    assert tally.open[talk.id]._steps == []


def test_an_exchange_from_the_far_future_counts_from_now() -> None:
    tally = Tally(0, rules(limit(id="day", window="day")))
    writer = frames.EventWriter("ffffffff-ffff-7fff-bfff-ffffffffffff", f"/tap/{TAP}", "key:k1")
    stamp = rfc3339(T0_US).encode()
    run(tally, frame(0, [writer.write(frames.CHUNK, 7, stamp, SALT, b"data: {}\n\n")]))
    (running,) = tally.open.values()
    assert running.exchange.birth.started_at_us == T0_US


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":[],"tools":[{"function":{"name":"f","parameters":%b}}]}' % (b"[" * 1000 + b"]" * 1000),
        b'{"response_format":{"type":"json_schema","json_schema":{"schema":%b}}}' % (b"[" * 1000 + b"]" * 1000),
        b'{"model":"gpt-4o\\ud800","messages":[{"content":"\\ud800"}]}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_no_prompt_stops_the_meter(body: bytes) -> None:
    talk, tally = Talk(model=""), Tally(0, rules(TEAM, OWN, limit(id="model", scope="model:*")))
    head = talk.prompt()[0]
    talk.seq = 1
    part = talk.write(frames.PROMPT, body, origin=b"client", extra=b',"part":1')
    said = run(tally, frame(0, [head, part, talk.words(2), talk.end()]))
    assert [written(emission) for emission in said]
    (settled,) = models(said, topics.ATTRIBUTION)
    assert isinstance(settled, Attribution) and settled.output.tokens in (2, 3)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"model":"x\\ud800","choices":[{"delta":{"content":" a a"}}],"usage":{"a":"\\ud800"}}',
        b'{"choices":[{"delta":{"content":" a a"}}],"usage":{"a":%b}}' % (b"[" * 900 + b"]" * 900),
        b'{"choices":[{"delta":{"content":" a a"}}],"usage":{"prompt_tokens":-5,"completion_tokens":1e400}}',
        b'{"choices":[{"delta":{"content":" a a"}}],"usage":{"completion_tokens":1%b}}' % (b"0" * 30),
        b'{"choices":[{"delta":{"content":" a a"}}],"usage":{"completion_tokens":"7","prompt_tokens":NaN}}',
    ],
)
def test_no_answer_stops_the_meter(answer: bytes) -> None:
    talk, tally = Talk(), Tally(0, rules(TEAM, OWN))
    events = [*talk.prompt(), talk.write(frames.CHUNK, b"data: " + answer + b"\n\n"), talk.end()]
    said = run(tally, frame(0, events))
    assert [written(emission) for emission in said]
    (settled,) = models(said, topics.ATTRIBUTION)
    assert isinstance(settled, Attribution)
    assert (settled.output.tokens, settled.output.source) == (2, "counted")


def test_an_error_that_nobody_foresaw_costs_one_event_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    talk, other, tally = Talk(), Talk(), Tally(0, rules(TEAM))
    run(tally, frame(0, [*talk.prompt(), *other.prompt(), talk.words(2), other.words(2)]))
    reply = tally.open[talk.id].exchange.reply
    assert reply is not None
    monkeypatch.setattr(reply, "feed", lambda event: 1 // 0)
    run(tally, frame(1, [talk.words(2), other.words(2)]))
    monkeypatch.undo()
    said = run(tally, frame(2, [talk.words(2), other.words(2), talk.end(), other.end()]))
    sides = {settled.exchange_id: settled.output for settled in models(said, topics.ATTRIBUTION)}
    assert (sides[talk.id].tokens, sides[talk.id].source) == (4, "estimated")
    assert (sides[other.id].tokens, sides[other.id].source) == (6, "counted")


def test_a_deployment_costs_what_the_answering_model_costs_while_it_runs() -> None:
    talk, tally = Talk(model="our-deployment"), Tally(0, rules(limit(id="usd", unit="cost_usd", amount=100)))
    events = [*talk.prompt(), talk.sse({"model": "gpt-4o", "choices": [{"delta": {"content": " a a"}}]})]
    (total,) = models(run(tally, frame(0, events)), topics.USAGE)
    assert isinstance(total, UsageTotal) and total.totals.cost_usd > 0


def test_an_exchange_whose_end_was_lost_ends_after_a_day_by_the_log() -> None:
    lost, other = Talk(), Talk()
    frames_of_a_day = [
        frame(0, [*lost.prompt(), *other.prompt(), lost.words(2)]),
        frame(40_000, [other.words(1)]),
        frame(86_400, [other.words(1)]),
        frame(86_401, [other.words(1)]),
    ]
    tally = Tally(0, rules(TEAM))
    said = run(tally, *frames_of_a_day)
    (settled,) = models(said, topics.ATTRIBUTION)
    assert isinstance(settled, Attribution)
    assert (settled.exchange_id, settled.outcome, settled.output.tokens) == (lost.id, "tap_error", 2)
    finals = [total for total in models(said, topics.USAGE) if isinstance(total, UsageTotal) and total.final]
    assert [(total.exchange_id, total.place.offset) for total in finals] == [(lost.id, 86_400)]
    assert list(tally.open) == [other.id]


def test_an_unseen_exchange_is_silent_since_the_same_moment_after_a_restart() -> None:
    lost, other = Talk(), Talk()
    tally = Tally(0, rules(TEAM, rewind_max_bytes=1))
    run(tally, frame(0, [*lost.prompt(), *other.prompt(), lost.words(2)]), frame(40_000, [other.words(1)]))
    position = tally.position()
    assert position.unseen.keys() == {lost.id, other.id}
    heir = Tally(0, rules(TEAM, rewind_max_bytes=1))
    heir.adopt(MeterPosition.model_validate_json(position.model_dump_json()))
    assert models(run(heir, frame(86_399, [other.words(1)])), topics.ATTRIBUTION) == []
    assert len(models(run(heir, frame(86_400, [other.words(1)])), topics.ATTRIBUTION)) == 1
