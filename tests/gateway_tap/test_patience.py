"""How long a client is waited for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway_tap.patience import LINGER_S, LOOK_S, NEVER, Patience
from penstock.schemas.tap_settings import Timeouts

LIMITS = Timeouts(
    client_header_s=10, client_body_idle_s=30, client_stall_s=60, client_min_bytes_per_s=100, keep_alive_s=75
)


def made() -> Patience:
    patience = Patience(LIMITS, 1000.0)
    patience.nothing()
    return patience


def test_a_new_connection_has_the_time_of_a_head() -> None:
    patience = Patience(LIMITS, 1000.0)
    assert patience.due_s == 1010
    assert patience.late(0, 1010) == "next"


def test_a_head_has_its_time_from_its_beginning() -> None:
    patience = made()
    patience.head(1000.0)
    patience.head(1000.0)
    assert patience.due_s == 1010
    assert patience.late(0, 1011) == "head"


def test_a_kept_connection_waits_longer_than_a_lingering_one() -> None:
    patience = made()
    patience.next_request(1000.0)
    assert patience.due_s == 1075
    patience.linger(1000.0)
    assert patience.due_s == 1000 + LINGER_S


def test_a_body_that_trickles_is_late_although_it_never_rests() -> None:
    patience, now_s = made(), 1000.0
    patience.body(now_s)
    while patience.due_s > now_s:
        now_s += 1
        patience.body_moved(1, now_s)
        assert now_s < 1060, "one byte a second held the connection"
    assert patience.late(0, now_s) == "body"


@given(st.lists(st.floats(0.1, 29.9), min_size=1, max_size=50))
def test_a_body_at_the_least_rate_is_never_late(pauses_s: list[float]) -> None:
    patience, now_s = made(), 1000.0
    patience.body(now_s)
    for pause_s in pauses_s:
        now_s += pause_s
        assert patience.due_s > now_s
        patience.body_moved(int(pause_s * 100) + 1, now_s)


def test_a_client_that_takes_nothing_is_late() -> None:
    patience = made()
    patience.full(50_000, 1000.0)
    assert patience.due_s == 1060
    assert patience.late(50_000, 1060) == "taking"
    assert patience.late(50_000 - 5_999, 1060) == "taking"


def test_a_client_that_takes_enough_has_more_time() -> None:
    patience = made()
    patience.full(50_000, 1000.0)
    assert patience.late(44_000, 1060) is None
    assert patience.due_s == 1120
    patience.taken()
    assert patience.due_s == NEVER


def test_a_client_that_is_not_read_from_is_looked_after() -> None:
    patience = made()
    patience.unread(1000.0)
    assert (patience.due_s, patience.late(0, 1000 + LOOK_S)) == (1000 + LOOK_S, "look")


def test_what_is_waited_for_first_is_due_first() -> None:
    patience = made()
    patience.full(50_000, 1000.0)
    patience.head(1000.0)
    assert (patience.due_s, patience.late(50_000, 1010)) == (1010, "head")


@pytest.mark.parametrize("paused", [True, False])
def test_time_in_which_nobody_reads_does_not_count(paused: bool) -> None:
    patience = made()
    patience.body(1000.0)
    if paused:
        patience.nothing()
        assert patience.due_s == NEVER
        patience.body(5000.0)
        assert patience.due_s == 5030
    else:
        assert patience.due_s == 1030
