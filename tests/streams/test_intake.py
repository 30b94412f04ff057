"""A frame is read as far as it can be read, and never raises."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas import frames
from penstock.streams.intake import read_traffic

from .scripts import Talk, headers


def test_an_event_that_cannot_be_read_costs_its_neighbours_nothing() -> None:
    talk = Talk()
    value = frames.write_frame([*talk.prompt(), b'{"type":"unknown"}', talk.words(1)])
    found = read_traffic(3, 9, 1000, headers(7), value)
    assert [(index, event.seq) for index, event in found.events] == [(0, 0), (1, 1), (3, 2)]
    assert (found.partition, found.offset, found.appended_us, found.epoch, found.replayed) == (
        3,
        9,
        1_000_000,
        7,
        False,
    )
    assert found.size_bytes == len(value)
    assert read_traffic(0, 0, 0, headers(replayed=True), value).replayed


@given(st.binary() | st.none(), st.lists(st.tuples(st.sampled_from([frames.HEADER_EPOCH, "x"]), st.binary())))
def test_nothing_that_a_record_holds_raises(value: bytes | None, given_headers: list[tuple[str, bytes]]) -> None:
    assert read_traffic(0, 0, 0, given_headers, value).events == ()
