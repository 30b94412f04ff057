"""Pure: what the demo claims, held against the endpoint's own record and what the teams' programs saw."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from penstock.wire.tokens import count_text, encoding_for

from .demo_calls import LIMIT_TOKENS, LIMITED, Outcome
from .endpoint_record import Sent
from .replay_cuts import cut_body


@dataclass(frozen=True, slots=True)
class Stored:
    """One exchange as the trail has it. `upstream` is the body rebuilt from its chunks, what was withheld included;
    `client` what the program got, with the tap's own ending."""

    exchange_id: str
    team: str
    model: str
    api: str
    outcome: str
    status: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    started_at_us: int
    ended_at_us: int
    upstream: bytes = field(default=b"", repr=False)
    delivered: bytes = field(default=b"", repr=False)
    client: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class StoredKill:
    """A kill as the trail has it."""

    exchange_id: str
    scope: str
    overshoot_tokens: int
    cut_ms: float | None
    applied_at_us: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the checks look at. `sent` by request id, `stored` by exchange id; `spend` is what `penstock spend` says
    of each team's input and output tokens."""

    outcomes: list[Outcome]
    sent: Mapping[str, Sent]
    stored: Mapping[str, Stored]
    kills: list[StoredKill]
    spend: Mapping[str, tuple[int, int]]
    verified: bool

    def of(self, outcome: Outcome) -> tuple[Stored | None, Sent | None]:
        return self.stored.get(outcome.exchange_id), self.sent.get(outcome.request_id)

    @property
    def killed(self) -> set[str]:
        return {kill.exchange_id for kill in self.kills}


@dataclass(frozen=True, slots=True)
class Check:
    """A claim, and the first thing that speaks against it (empty: it holds)."""

    claim: str
    against: str = ""

    @property
    def ok(self) -> bool:
        return not self.against


def check_all(evidence: Evidence) -> list[Check]:
    """Every claim of the demo, in the order in which a person reads them."""
    return [
        _check("every exchange is in the trail, and no other", _complete(evidence)),
        _check("every answer is rebuilt byte for byte", _different(evidence)),
        _check("every program got the text that the endpoint sent it", _texts(evidence)),
        _check("every token count equals the endpoint's own", _tokens(evidence)),
        _check("what each team is said to have used is the sum of it", _spend(evidence)),
        _check("every exchange with a known model has a price", _prices(evidence)),
        _check(f"team {LIMITED} was cut in mid-stream, and its SDK raised", _cut(evidence)),
        _check("the overshoot is counted right", _overshoot(evidence)),
        _check("the cut closed the connection to the endpoint", _hung_up(evidence)),
        _check(f"the next request of {LIMITED} was refused with 429, in one attempt", _refused(evidence)),
        _check("streams of other teams ran on through the cut and ended whole", _others(evidence)),
        _check("the trail verifies", [] if evidence.verified else ["penstock verify says no"]),
    ]


def identical(evidence: Evidence) -> int:
    """How many exchanges are rebuilt byte for byte."""
    return len(evidence.outcomes) - len(list(_different(evidence)))


def _check(claim: str, against: Iterable[str]) -> Check:
    return Check(claim, next(iter(against), ""))


def _complete(evidence: Evidence) -> Iterable[str]:
    known = {outcome.exchange_id for outcome in evidence.outcomes}
    if len(known) != len(evidence.outcomes):
        yield "an answer carried no exchange id of its own"
    yield from (f"{name} is not in the trail" for name in known - evidence.stored.keys())
    yield from (f"{name} is in the trail, but nobody asked" for name in evidence.stored.keys() - known)


def _different(evidence: Evidence) -> Iterable[str]:
    """One line for each exchange whose bytes differ. A cut one is held against what the endpoint sent until the cut."""
    for outcome in evidence.outcomes:
        stored, sent = evidence.of(outcome)
        if stored is None:
            yield f"{outcome.exchange_id} is missing"
        elif sent is None:
            if stored.upstream or stored.client != outcome.body:
                yield f"{stored.exchange_id}: the refusal differs"
        elif stored.exchange_id in evidence.killed:
            cut_off = bytes(sent.body[: len(stored.upstream)])
            if not stored.upstream or stored.upstream != cut_off or not cut_off.startswith(stored.delivered):
                yield f"{stored.exchange_id}: the cut answer differs from what was sent until then"
        elif not stored.upstream == stored.client == bytes(sent.body):
            yield f"{stored.exchange_id}: the answer differs"


def _texts(evidence: Evidence) -> Iterable[str]:
    for outcome in evidence.outcomes:
        stored, sent = evidence.of(outcome)
        if sent is None or stored is None:
            continue
        if stored.exchange_id in evidence.killed:
            if outcome.text != _text(stored.delivered):
                yield f"{stored.exchange_id}: the program's text is not the text before the cut"
        elif outcome.text != "".join(sent.texts):
            yield f"{stored.exchange_id}: the program's text differs"


def _tokens(evidence: Evidence) -> Iterable[str]:
    for outcome in evidence.outcomes:
        stored, sent = evidence.of(outcome)
        if stored is None or sent is None:
            continue
        if stored.input_tokens != sent.input_tokens:
            yield f"{stored.exchange_id}: {stored.input_tokens} input tokens, the endpoint says {sent.input_tokens}"
        expected = _output(evidence, stored, sent)
        if stored.output_tokens != expected:
            yield f"{stored.exchange_id}: {stored.output_tokens} output tokens, the endpoint says {expected}"


def _spend(evidence: Evidence) -> Iterable[str]:
    sums = dict[str, tuple[int, int]]()
    for outcome in evidence.outcomes:
        stored, sent = evidence.of(outcome)
        before = sums.get(outcome.call.team, (0, 0))
        if stored is not None and sent is not None:
            sums[outcome.call.team] = (before[0] + sent.input_tokens, before[1] + _output(evidence, stored, sent))
    for team in sums.keys() | evidence.spend.keys():
        if sums.get(team) != evidence.spend.get(team):
            yield f"{team}: spend says {evidence.spend.get(team)}, the endpoint {sums.get(team)}"


def _prices(evidence: Evidence) -> Iterable[str]:
    for stored in evidence.stored.values():
        if stored.outcome != "blocked" and not stored.cost_usd:
            yield f"{stored.exchange_id}: {stored.model} has no price"


def _cut(evidence: Evidence) -> Iterable[str]:
    found = [outcome for outcome in evidence.outcomes if outcome.exchange_id in evidence.killed]
    if len(found) != 1:
        yield f"{len(found)} exchanges were cut, not one"
    for outcome in found:
        stored = evidence.stored.get(outcome.exchange_id)
        if outcome.call.team != LIMITED or not outcome.call.stream or stored is None or stored.outcome != "killed":
            yield f"{outcome.exchange_id} was cut, which should not have been"
        elif outcome.error != "APIError" or not outcome.text:
            raised = outcome.error or "nothing"
            yield f"{outcome.exchange_id}: the SDK raised {raised} after {len(outcome.text)} characters"


def _overshoot(evidence: Evidence) -> Iterable[str]:
    for kill in evidence.kills:
        stored = evidence.stored.get(kill.exchange_id)
        if stored is None:
            continue
        before = sum(
            other.output_tokens
            for other in evidence.stored.values()
            if other.team == stored.team and other.ended_at_us <= stored.started_at_us
        )
        overshoot = before + _count(stored, stored.delivered) - LIMIT_TOKENS
        if overshoot != kill.overshoot_tokens:
            yield f"{kill.exchange_id}: {kill.overshoot_tokens} tokens of overshoot, counted again {overshoot}"
        if kill.cut_ms is None or kill.cut_ms < 0:
            yield f"{kill.exchange_id}: no time between crossing and cut"


def _hung_up(evidence: Evidence) -> Iterable[str]:
    for outcome in evidence.outcomes:
        _, sent = evidence.of(outcome)
        if sent is not None:
            wanted = "hung_up" if outcome.exchange_id in evidence.killed else "whole"
            if sent.end != wanted:
                yield f"{outcome.exchange_id}: the endpoint says {sent.end}"


def _refused(evidence: Evidence) -> Iterable[str]:
    last = [outcome for outcome in evidence.outcomes if outcome.call.team == LIMITED][-1]
    blocked = [stored for stored in evidence.stored.values() if stored.outcome == "blocked"]
    if last.error != "RateLimitError" or last.status != 429:
        yield f"the SDK raised {last.error or 'nothing'}, status {last.status}"
    if [stored.exchange_id for stored in blocked] != [last.exchange_id]:
        yield f"{len(blocked)} requests were refused, not one"


def _others(evidence: Evidence) -> Iterable[str]:
    for outcome in evidence.outcomes:
        if outcome.call.team != LIMITED and outcome.error:
            yield f"{outcome.exchange_id} of {outcome.call.team} raised {outcome.error}: {outcome.message}"
    if not any(
        stored.started_at_us < kill.applied_at_us < stored.ended_at_us and stored.team != LIMITED
        for kill in evidence.kills
        for stored in evidence.stored.values()
    ):
        yield "no stream of another team was running at the cut"


def _output(evidence: Evidence, stored: Stored, sent: Sent) -> int:
    """Output tokens to be charged: of a cut stream what had reached the tap, else the endpoint's own figure."""
    return _count(stored, stored.upstream) if stored.exchange_id in evidence.killed else sent.output_tokens


def _count(stored: Stored, body: bytes) -> int:
    return count_text(encoding_for(stored.model, "openai.chat"), _text(body))


def _text(body: bytes) -> str:
    """The text of a chat stream's whole events, read without any of Penstock's own parsers."""
    found = ""
    for event in cut_body(body, "events"):
        data = event.partition(b"data: ")[2].strip()
        content: Any = orjson.loads(data) if data.startswith(b"{") and event.endswith(b"\n\n") else {}
        found += "".join(choice["delta"].get("content") or "" for choice in content.get("choices", ()))
    return found
