import pytest

from penstock.gateway_tap.admission import Gate, admit, kill_code, killed
from penstock.gateway_tap.exchange import Step
from penstock.gateway_tap.identity import Caller
from penstock.gateway_tap.orders import Orders
from penstock.schemas.control import Order
from penstock.schemas.events import Identity

NOW = 1_000_000_000
CALLER = Caller(Identity(key_id="k1", team="research", authenticated=True))
SCOPES = ["key:k1", "team:research"]


def orders(action: str = "block", limit_scope: str = "") -> Orders:
    found = Orders("t")
    found.apply(
        Order.model_validate(
            {
                "order_id": "o",
                "action": action,
                "scope": "team:research",
                "issuer": "cli:ada",
                "rule": "r",
                "reason": "closed for now",
                "epoch": 1,
                "issued_at_us": NOW,
                "expires_at_us": NOW + 5_000_000,
                "limit_scope": limit_scope,
            }
        ),
        NOW,
    )
    return found


def test_an_open_gate_lets_through() -> None:
    assert admit(Gate("enforce", ready=True), Orders("t"), CALLER, SCOPES, True, NOW) is None
    assert admit(Gate("observe"), Orders("t"), CALLER, SCOPES, True, NOW) is None


@pytest.mark.parametrize(
    "gate",
    [Gate("enforce"), Gate("enforce", ready=True, loss="deny_new"), Gate("enforce", ready=True, loss="deny_all")],
)
def test_a_closed_gate_is_a_503(gate: Gate) -> None:
    verdict = admit(gate, Orders("t"), CALLER, SCOPES, True, NOW)
    assert verdict is not None
    assert (verdict.step, verdict.refusal.status, verdict.refusal.retry_after_s) == (Step.FAULT, 503, 1)
    observing = Gate("observe", ready=gate.ready, loss=gate.loss)
    assert admit(observing, Orders("t"), CALLER, SCOPES, True, NOW) is None


def test_no_room_for_events_is_a_503() -> None:
    verdict = admit(Gate("enforce", ready=True), Orders("t"), CALLER, SCOPES, False, NOW)
    assert verdict is not None
    assert "audit trail" in verdict.refusal.message


@pytest.mark.parametrize(
    ("action", "limit_scope", "code"),
    [
        ("block", "", "blocked_by_policy"),
        ("block", "team:research", "budget_exceeded"),
        ("revoke", "", "access_revoked"),
    ],
)
def test_a_block_is_a_429_that_says_when_and_why(action: str, limit_scope: str, code: str) -> None:
    verdict = admit(Gate("enforce", ready=True), orders(action, limit_scope), CALLER, SCOPES, True, NOW)
    assert verdict is not None
    assert (verdict.step, verdict.reason) == (Step.BLOCK, "closed for now")
    assert (verdict.refusal.status, verdict.refusal.code, verdict.refusal.retry_after_s) == (429, code, 5)
    assert verdict.order is not None
    assert not verdict.order.observed


def test_mode_observe_only_says_what_it_would_have_done() -> None:
    verdict = admit(Gate("observe"), orders(), CALLER, SCOPES, True, NOW)
    assert verdict is not None
    assert verdict.order is not None
    assert verdict.order.observed


def test_a_refused_key_is_a_401_before_any_block() -> None:
    caller = Caller(CALLER.identity, "the key has expired")
    verdict = admit(Gate("enforce", ready=True), orders(), caller, SCOPES, True, NOW)
    assert verdict is not None
    assert (verdict.refusal.status, verdict.order and verdict.order.scope) == (401, "key:k1")


def test_a_kill_before_the_answer_is_a_refusal() -> None:
    standing = orders("block", "team:research").closing(SCOPES, NOW)
    assert standing is not None
    verdict = killed(standing, NOW)
    assert (verdict.step, verdict.refusal.status, kill_code(standing)) == (Step.KILL, 429, "budget_exceeded")
