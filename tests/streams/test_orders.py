"""Orders say what was passed, and are the same when a decision is repeated."""

from penstock.schemas.control import check_order, sign_order
from penstock.streams.limits import Window, window_of
from penstock.streams.orders import block_order, kill_order, order_key, retry_after_s, sentence

from .scripts import T0_US, limit

HOUR = limit(id="team-hour", unit="cost_usd", amount="12.50", window="hour")


def test_a_kill_names_limit_amount_unit_scope_and_window() -> None:
    window = window_of(HOUR, T0_US)
    order = kill_order(
        HOUR, "team:research", window, "e1", allowed_output_tokens=7, crossed_at_us=5, epoch=9, now_us=T0_US
    )
    assert order.reason == f"limit team-hour is used up: 12.5 USD per hour for team research (window {window.id})"
    assert (order.action, order.scope, order.rule, order.limit_scope) == (
        "kill",
        "exchange:e1",
        "team-hour",
        "team:research",
    )
    assert (order.allowed_output_tokens, order.crossed_at_us, order.epoch) == (7, 5, 9)
    assert order.key == order_key("exchange:e1", HOUR.id)


def test_a_block_holds_until_the_window_ends() -> None:
    window = window_of(HOUR, T0_US)
    order = block_order(HOUR, "team:research", window, crossed_at_us=5, epoch=9, now_us=T0_US)
    assert window.ends_at_us is not None
    assert order.expires_at_us == window.ends_at_us
    assert order.retry_after_s == -(-(window.ends_at_us - T0_US) // 1_000_000)
    assert order.key == order_key("team:research", HOUR.id)


def test_a_total_is_blocked_for_years_and_says_no_time() -> None:
    order = block_order(limit(), "key:k", Window("total", None), crossed_at_us=5, epoch=9, now_us=T0_US)
    assert order.retry_after_s is None
    assert order.expires_at_us - T0_US > 9 * 365 * 86_400_000_000
    assert sentence(limit(), "exchange:e", Window("total", None)) == (
        "limit l is used up: 10 output tokens in all for this exchange"
    )


def test_a_window_about_to_end_asks_for_a_second() -> None:
    assert retry_after_s(Window("w", T0_US + 10), T0_US + 20) == 1


def test_a_repeated_decision_differs_in_its_time_alone() -> None:
    window = window_of(HOUR, T0_US)
    one, other = (
        block_order(HOUR, "team:research", window, crossed_at_us=5, epoch=9, now_us=now_us) for now_us in (1, 2)
    )
    assert one.model_copy(update={"issued_at_us": 2, "retry_after_s": other.retry_after_s}) == other
    check_order(sign_order(one, b"k" * 32), [b"k" * 32])
