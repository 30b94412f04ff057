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
    with pytest.raises(ValueError, match="no offset"):
        parse_rfc3339("2026-11-24T06:45:00")


def test_exchange_ids_sort_by_time() -> None:
    made = [new_exchange_id() for _ in range(1000)]
    assert made == sorted(made)
    assert len({*made}) == 1000
    assert made[0][14] == "7"
    assert event_id("x", 3) == "x/3"
    assert len({new_salt() for _ in range(100)}) == 100
