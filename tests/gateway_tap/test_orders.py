from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway_tap.orders import Orders
from penstock.schemas.control import Order

NOW = 1_000_000_000


def order(**members: Any) -> Order:
    given_: dict[str, Any] = {
        "order_id": "o",
        "action": "block",
        "scope": "team:research",
        "issuer": "meter",
        "rule": "team-day",
        "reason": "used up",
        "epoch": 1,
        "issued_at_us": NOW,
        "expires_at_us": NOW + 10_000_000,
        **members,
    }
    return Order(**given_)


def test_a_block_closes_its_scope_until_it_expires() -> None:
    orders = Orders("tap-1")
    orders.apply(order(), NOW)
    found = orders.closing(["key:k", "team:research"], NOW)
    assert found is not None
    assert found.retry_after_s(NOW) == 10
    assert orders.closing(["team:other"], NOW) is None
    assert orders.closing(["team:research"], NOW + 10_000_000) is None
    orders.expire(NOW + 10_000_000)
    assert len(orders) == 0


def test_the_stated_retry_wins_and_is_never_zero() -> None:
    orders = Orders("tap-1")
    stated = orders.apply(order(retry_after_s=0), NOW)
    assert stated is not None
    assert stated.retry_after_s(NOW) == 1


def test_old_epochs_are_ignored_also_after_a_tombstone() -> None:
    orders = Orders("tap-1")
    assert orders.apply(order(epoch=5), NOW)
    assert orders.apply(order(epoch=4, reason="old"), NOW) is None
    orders.lift(order().key)
    assert orders.closing(["team:research"], NOW) is None
    assert orders.apply(order(epoch=4), NOW) is None
    assert orders.apply(order(epoch=6), NOW)


def test_orders_hold_together() -> None:
    orders = Orders("tap-1")
    orders.apply(order(rule="a"), NOW)
    orders.apply(order(rule="b", expires_at_us=NOW + 99_000_000), NOW)
    orders.lift(order(rule="b").key)
    assert orders.closing(["team:research"], NOW) is not None
    orders.lift(order(rule="a").key)
    assert orders.closing(["team:research"], NOW) is None


def test_orders_for_another_tap_and_expired_ones_change_nothing() -> None:
    orders = Orders("tap-1")
    assert orders.apply(order(target_tap="tap-2"), NOW) is None
    assert orders.apply(order(expires_at_us=NOW), NOW) is None
    assert orders.apply(order(target_tap="tap-1"), NOW) is not None


def test_a_later_epoch_may_end_an_order_by_expiring() -> None:
    orders = Orders("tap-1")
    orders.apply(order(), NOW)
    orders.apply(order(epoch=2, expires_at_us=NOW - 1), NOW)
    assert orders.closing(["team:research"], NOW) is None


def test_kills_and_leases_close_nothing() -> None:
    orders = Orders("tap-1")
    orders.apply(order(action="kill"), NOW)
    orders.apply(order(action="lease", rule="l"), NOW)
    assert orders.closing(["team:research"], NOW) is None


def test_what_a_completion_says_of_an_order() -> None:
    standing = Orders("t").apply(
        order(action="kill", scope="exchange:e", limit_scope="team:research", crossed_at_us=7, allowed_output_tokens=9),
        NOW,
    )
    assert standing is not None
    applied = standing.applied(NOW + 5)
    assert (applied.scope, applied.limit_id, applied.crossed_at_us) == ("team:research", "team-day", 7)
    assert (applied.received_at_us, applied.applied_at_us, applied.allowed_output_tokens) == (NOW, NOW + 5, 9)


steps = st.lists(
    st.tuples(
        st.sampled_from(["apply", "lift", "expire"]),
        st.sampled_from(["team:a", "team:b"]),
        st.sampled_from(["r1", "r2"]),
        st.integers(0, 3),
        st.integers(-1, 3),
    ),
    max_size=40,
)


@given(steps)
def test_closed_scopes_are_those_of_the_live_blocks(path: list[tuple[str, str, str, int, int]]) -> None:
    orders, live, epochs = Orders("t"), dict[str, Order](), dict[str, tuple[int, int]]()
    for action, scope, rule, epoch, lasts in path:
        given_ = order(scope=scope, rule=rule, epoch=epoch, expires_at_us=NOW + lasts)
        if action == "lift":
            orders.lift(given_.key)
            live.pop(given_.key, None)
        elif action == "expire":
            orders.expire(NOW)
        else:
            orders.apply(given_, NOW)
            if epoch >= epochs.get(given_.key, (-1, 0))[0]:
                epochs[given_.key] = (epoch, given_.expires_at_us)
                live[given_.key] = given_
        if action == "expire":
            epochs = {key: known for key, known in epochs.items() if known[1] > NOW}
    for scope in ("team:a", "team:b"):
        closed = any(one.scope == scope and one.expires_at_us > NOW for one in live.values())
        assert (orders.closing([scope], NOW) is not None) == closed
