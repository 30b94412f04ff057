from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway_tap.clock import Clock
from penstock.schemas.ids import rfc3339


@given(st.lists(st.integers(0, 4_000_000_000_000_000), min_size=1, max_size=5))
def test_stamps_are_the_texts_that_ids_writes(times: list[int]) -> None:
    clock = Clock()
    for time_us in times:
        assert clock.stamp(time_us) == rfc3339(time_us).encode()


def test_the_monotonic_clock_grows() -> None:
    clock = Clock()
    first = clock.monotonic_s()
    assert clock.monotonic_s() >= first
