from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.gateway_tap.tape import Tape
from penstock.schemas.frames import PART_MAX_BYTES, Event, EventWriter, read_event

STAMP = b"2026-11-24T05:45:00.000001Z"
SECRET = b"sk-secret-51cret"


def tape(credentials: list[bytes] | None = None) -> tuple[Tape, list[Event]]:
    events: list[Event] = []
    writer = EventWriter("e", "/tap/t", "key:k")
    return Tape(writer, lambda made: events.extend(map(read_event, made)), lambda: b"A" * 24, credentials or []), events


def test_a_prompt_is_its_head_and_its_parts() -> None:
    one, events = tape([SECRET])
    body = b"a" * (PART_MAX_BYTES - 8) + SECRET + b"b" * 10
    one.prompt(b"{}", body, STAMP)
    one.completion(b"{}", STAMP)
    assert [(event.kind, event.seq, event.part) for event in events] == [
        ("prompt", 0, 0),
        ("prompt", 1, 1),
        ("prompt", 2, 2),
        ("completion", 3, 0),
    ]
    joined = b"".join(event.body for event in events[1:3])
    assert joined == body.replace(SECRET, b"*" * len(SECRET))
    assert [event.redacted for event in events[1:3]] == [f"{PART_MAX_BYTES - 8}-{PART_MAX_BYTES}", "0-8"]


def test_a_request_without_a_body_has_no_parts() -> None:
    one, events = tape()
    one.prompt(b"{}", b"", STAMP)
    assert [event.part for event in events] == [0]


@settings(max_examples=30)
@given(st.lists(st.integers(1, 900_000), max_size=5))
def test_a_body_that_passes_through_is_recorded_whole(sizes: list[int]) -> None:
    one, events = tape([SECRET])
    one.prompt(b"{}", b"", STAMP)
    for size in sizes:
        one.prompt_piece(b"s" * size, STAMP)
    one.prompt_end(STAMP)
    assert b"".join(event.body for event in events[1:]) == b"s" * sum(sizes)
    assert [event.part for event in events] == list(range(len(events)))


def test_what_the_tap_made_and_what_it_withheld_say_so() -> None:
    one, events = tape()
    one.events([b"data: a\n\n"], STAMP, withheld=True)
    one.made_here(b"data: end\n\n", STAMP)
    assert [(event.origin, event.withheld) for event in events] == [("upstream", True), ("tap", False)]
    assert events[0].time == STAMP.decode()


def test_a_credential_in_a_text_of_head_or_completion_is_masked() -> None:
    one, events = tape([SECRET])
    one.prompt(b'{"model":"m-%b"}' % SECRET, b"", STAMP)
    one.completion(b'{"response_id":"%b"}' % SECRET, STAMP)
    assert [event.body for event in events] == [
        b'{"model":"m-****************"}',
        b'{"response_id":"****************"}',
    ]
