import json

from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway_tap.journal import Journal
from penstock.gateway_tap.lane import HOLE_NAMES, Lane, Memory
from penstock.schemas.frames import FRAME_MAX_BYTES, read_event, split_frame, write_frame

from .journalling import Disk, event


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


def journalled(memory: Memory, most: int = 1000) -> tuple[Lane, Journal]:
    journal = Journal(Disk(size=1 << 20, most=most))
    journal.begin(7)
    return Lane(2, epoch=7, journal=journal, memory=memory), journal


def big(exchange: str, seq: int) -> bytes:
    return event(exchange, seq, body=b"x" * 90_000)


def test_what_finds_no_room_in_memory_is_read_back_from_the_journal() -> None:
    memory = Memory(300_000)
    lane, journal = journalled(memory)
    for number in range(12):
        assert lane.add(f"e{number}", [big(f"e{number}", 0)]) == 1
    lane.close_frame()
    assert [frame.value is not None for frame in lane.frames] == [True] + [False] * 5
    assert memory.used_bytes == lane.frames[0].events_bytes
    assert [frame.accepted for frame in lane.frames] == [2, 4, 6, 8, 10, 12]
    found = []
    while lane.frames:
        frame = lane.done()
        value = frame.value or write_frame(journal.read(frame.positions))
        found += [read_event(raw).exchangeid for raw in split_frame(value)]
        assert (frame.value is None) is (frame.positions is not None)
    assert found == [f"e{number}" for number in range(12)]
    assert memory.used_bytes == 0


def test_a_full_journal_takes_some_and_says_how_many() -> None:
    lane, journal = journalled(Memory(1 << 30), most=1)
    events = [big("e", number) for number in range(20)]
    taken = lane.add("e", events)
    assert 5 < taken < 12
    lane.drop("e", events[taken:])
    lane.end_hole()
    (hole,) = lane.take_holes()
    assert (hole.events, hole.epoch, hole.cause) == (20 - taken, 7, "the journal was full")
    assert sum(frame.events for frame in lane.frames) == taken == lane.accepted
    assert journal.full


def test_an_exchange_whose_end_is_dropped_is_not_carried_on() -> None:
    lane, journal = journalled(Memory(1 << 30))
    lane.add("e", [event("e", 0, "prompt")])
    assert set(journal.running) == {"e"}
    lane.drop("e", [event("e", 1, "completion")])
    assert not journal.running
