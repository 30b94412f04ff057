"""The demo's checks: a true story passes, and each lie is found."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import orjson
import pytest

from penstock.local.demo_calls import LIMIT_TOKENS, LIMITED, Call, Outcome
from penstock.local.demo_checks import Evidence, Stored, StoredKill, check_all, identical
from penstock.local.endpoint_record import Sent
from penstock.local.endpoint_text import compose

MODEL = "gpt-4.1-mini"
BEFORE, PAST, SENT_TOKENS = LIMIT_TOKENS - 100, 107, 120


def events(pieces: list[str]) -> list[bytes]:
    return [
        b"data: %b\n\n" % orjson.dumps({"choices": [{"index": 0, "delta": {"content": piece}}]}) for piece in pieces
    ]


def sent(request_id: str, body: bytes, text: str, tokens: int, end: str = "whole") -> Sent:
    return Sent(
        request_id, "POST", "/v1/chat/completions", "openai", MODEL, True, 9, "", True, 0,
        status=200, body=bytearray(body), texts=[text], end="hung_up" if end == "hung_up" else "whole",
        input_tokens=5, output_tokens=tokens,
    )  # fmt: skip


def stored(
    exchange_id: str, team: str, outcome: str, tokens: int, span: tuple[int, int], bodies: tuple[bytes, ...]
) -> Stored:
    price = None if outcome == "blocked" else Decimal("0.01")
    status = 429 if outcome == "blocked" else 200
    inside = 0 if outcome == "blocked" else 5
    return Stored(exchange_id, team, MODEL, "openai.chat", outcome, status, inside, tokens, price, *span, *bodies)


@pytest.fixture
def truth() -> Evidence:
    """One short answer, one cut in mid-stream, one refused, and a stream of another team around the cut."""
    pieces = compose("x", SENT_TOKENS)
    all_of_it, cut_at, withheld_from = events(pieces), 110, PAST
    upstream, delivered = b"".join(all_of_it[:cut_at]), b"".join(all_of_it[:withheld_from])
    short = b"".join(events(["a"]))
    ask = Call(LIMITED, "chat", MODEL, "?", stream=True)
    return Evidence(
        outcomes=[
            Outcome(ask, "e1", "r1", 200, "a"),
            Outcome(ask, "e2", "r2", 200, "".join(pieces[:PAST]), "APIError", "limit"),
            Outcome(ask, "e3", "", 429, "", "RateLimitError", "limit", b"no"),
            Outcome(replace(ask, team="support"), "e4", "r4", 200, "a"),
        ],
        sent={
            "r1": sent("r1", short, "a", BEFORE),
            "r2": sent("r2", b"".join(all_of_it), "".join(pieces), SENT_TOKENS, "hung_up"),
            "r4": sent("r4", short, "a", 1),
        },
        stored={
            "e1": stored("e1", LIMITED, "completed", BEFORE, (0, 9), (short, short, short)),
            "e2": stored("e2", LIMITED, "killed", cut_at, (10, 50), (upstream, delivered, delivered + b"end")),
            "e3": stored("e3", LIMITED, "blocked", 0, (51, 52), (b"", b"", b"no")),
            "e4": stored("e4", "support", "completed", 1, (5, 90), (short, short, short)),
        },
        kills=[StoredKill("e2", f"team:{LIMITED}", BEFORE + PAST - LIMIT_TOKENS, 12.5, 49)],
        spend={LIMITED: (10, BEFORE + cut_at), "support": (5, 1)},
        verified=True,
    )


def test_a_true_story_passes(truth: Evidence) -> None:
    assert [check.against for check in check_all(truth) if not check.ok] == []
    assert identical(truth) == 4


def lie(change: Callable[[Evidence], Evidence], claim: str) -> tuple[Callable[[Evidence], Evidence], str]:
    return change, claim


def with_stored(evidence: Evidence, exchange_id: str, **changes: object) -> Evidence:
    row = replace(evidence.stored[exchange_id], **changes)  # type: ignore[arg-type]
    return replace(evidence, stored={**evidence.stored, exchange_id: row})


def with_outcome(evidence: Evidence, place: int, **changes: object) -> Evidence:
    outcomes = list(evidence.outcomes)
    outcomes[place] = replace(outcomes[place], **changes)  # type: ignore[arg-type]
    return replace(evidence, outcomes=outcomes)


@pytest.mark.parametrize(
    ("change", "claim"),
    [
        lie(lambda e: replace(e, verified=False), "the trail verifies"),
        lie(lambda e: replace(e, stored={k: v for k, v in e.stored.items() if k != "e4"}), "in the trail"),
        lie(lambda e: replace(e, outcomes=e.outcomes[:3]), "in the trail"),
        lie(lambda e: with_stored(e, "e1", upstream=b"x"), "byte for byte"),
        lie(lambda e: with_stored(e, "e2", upstream=e.stored["e2"].upstream + b"x"), "byte for byte"),
        lie(lambda e: with_stored(e, "e2", upstream=b""), "byte for byte"),
        lie(lambda e: with_stored(e, "e3", client=b"yes"), "byte for byte"),
        lie(lambda e: with_outcome(e, 0, text="b"), "the text that the endpoint sent"),
        lie(lambda e: with_outcome(e, 1, text="b"), "the text that the endpoint sent"),
        lie(lambda e: with_stored(e, "e1", input_tokens=6), "token count"),
        lie(lambda e: with_stored(e, "e2", output_tokens=999), "token count"),
        lie(lambda e: with_stored(e, "e4", cost_usd=None), "price"),
        lie(lambda e: replace(e, spend={**e.spend, "support": (5, 2)}), "sum of it"),
        lie(lambda e: replace(e, spend={**e.spend, "nobody": (1, 1)}), "sum of it"),
        lie(lambda e: replace(e, kills=[]), "cut in mid-stream"),
        lie(lambda e: with_outcome(e, 1, error=""), "cut in mid-stream"),
        lie(lambda e: replace(e, kills=[replace(e.kills[0], overshoot_tokens=0)]), "overshoot"),
        lie(lambda e: replace(e, kills=[replace(e.kills[0], cut_ms=None)]), "overshoot"),
        lie(lambda e: replace(e, sent={**e.sent, "r2": replace(e.sent["r2"], end="whole")}), "closed the connection"),
        lie(lambda e: with_outcome(e, 2, status=200, error=""), "refused with 429"),
        lie(lambda e: with_stored(e, "e4", outcome="blocked"), "refused with 429"),
        lie(lambda e: with_outcome(e, 3, error="APIError"), "other teams"),
        lie(lambda e: with_stored(e, "e4", ended_at_us=20), "other teams"),
    ],
)
def test_each_lie_is_found(truth: Evidence, change: Callable[[Evidence], Evidence], claim: str) -> None:
    found = [check for check in check_all(change(truth)) if not check.ok]
    assert any(claim in check.claim for check in found), found
