import json

from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway_tap.lane import HOLE_NAMES, Lane
from penstock.schemas.frames import FRAME_MAX_BYTES, split_frame


@given(st.lists(st.one_of(st.lists(st.integers(2, 90_000), min_size=1, max_size=5), st.just("close"), st.just("drop"))))
def test_frames_and_holes_are_dense_and_keep_every_event(path: list[list[int] | str]) -> None:
    lane, given_events, dropped, count = Lane(0), 0, 0, 0
    for step in path:
        if step == "close":
            lane.close_frame()
        elif step == "drop":
            lane.drop("e", [b"1", b"2"])
            dropped += 2
        else:
            events = []
            for size in step:
                events.append(json.dumps(f"{count}".ljust(int(size) - 2)).encode())
                count += 1
            assert lane.add("e", events) == len(events)
            given_events += len(step)
    lane.close_frame()
    lane.end_hole()
    holes = lane.take_holes()
    numbers = sorted([frame.number for frame in lane.frames] + [hole.number for hole in holes])
    assert numbers == list(range(len(numbers)))
    assert sum(frame.events for frame in lane.frames) == given_events == lane.accepted
    assert sum(hole.events for hole in holes) == dropped
    found = [int(json.loads(bytes(raw))) for frame in lane.frames for raw in split_frame(frame.value)]
    assert found == list(range(count))
    assert all(frame.events == 1 or frame.events_bytes <= FRAME_MAX_BYTES for frame in lane.frames)


def test_a_hole_names_at_most_a_hundred_exchanges() -> None:
    lane = Lane(0)
    for number in range(HOLE_NAMES + 5):
        lane.drop(f"e{number}", [b"1"])
        lane.drop(f"e{number}", [b"1"])
    lane.end_hole()
    (hole,) = lane.take_holes()
    assert (len(hole.exchanges), hole.events) == (HOLE_NAMES, 2 * HOLE_NAMES + 10)
    assert lane.take_holes() == []
