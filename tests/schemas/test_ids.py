"""Identifiers and times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas.ids import event_id, new_exchange_id, new_salt, parse_rfc3339, rfc3339


@given(st.integers(0, 4_102_444_800_000_000))
def test_times_survive(time_us: int) -> None:
    assert parse_rfc3339(rfc3339(time_us)) == time_us


def test_offsets_are_read_and_demanded() -> None:
    assert parse_rfc3339("2026-11-24T06:45:00+01:00") == parse_rfc3339("2026-11-24T05:45:00Z")
    with pytest.raises(ValueError, match="with an offset"):
        parse_rfc3339("2026-11-24T06:45:00")


def test_times_keep_their_microseconds() -> None:
    assert parse_rfc3339("2026-11-24T05:45:00.000001Z") == 1_795_499_100_000_001


@pytest.mark.parametrize("text", ["1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "soon"])
def test_times_that_no_store_shows_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        parse_rfc3339(text)


def test_exchange_ids_sort_by_time() -> None:
    made = [new_exchange_id() for _ in range(1000)]
    assert made == sorted(made)
    assert len({*made}) == 1000
    assert made[0][14] == "7"
    assert event_id("x", 3) == "x/3"
    assert len({new_salt() for _ in range(100)}) == 100
