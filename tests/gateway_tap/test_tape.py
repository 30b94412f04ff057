from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.gateway_tap.tape import Tape
from penstock.schemas.frames import PART_MAX_BYTES, Event, EventWriter, read_event

STAMP = b"2026-11-24T05:45:00.000001Z"
SECRET = b"sk-secret-51cret"
KEY = b"sk-live-0123456789abcdef"


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


def ahead_of(reads: list[bytes], credentials: list[bytes]) -> tuple[list[tuple[bytes, int]], list[bytes]]:
    """What the journal is told, read by read, of one SSE event that comes in pieces; and the events published."""
    told: list[tuple[bytes, int]] = []
    published: list[bytes] = []
    writer = EventWriter("e", "/tap/t", "key:k")
    tape = Tape(writer, published.extend, lambda: b"AAAA", credentials, lambda *two: told.append(two))
    for number, read in enumerate(reads):
        tape.ahead(read, begins=number == 0)
    return told, published


def test_what_a_client_gets_ahead_of_its_event_is_told_without_a_credential() -> None:
    told, published = ahead_of([b"data: plain", b" words sk-li", b"ve-0123456789abcdef more", b" s"], [KEY])
    assert told == [(b"data: plain", 0), (b" words ", 5), (b"*" * len(KEY) + b" more", 0), (b" ", 1)]
    assert published == []


def test_without_a_journal_nobody_is_told() -> None:
    tape = Tape(EventWriter("e", "/tap/t", "key:k"), lambda events: None, lambda: b"AAAA", [KEY])
    tape.ahead(b"data: half", begins=True)
    tape.read(b"ends with s", b"2026-11-24T05:45:00.000001Z", last=False)


def test_a_held_back_end_of_a_read_is_told_by_its_length() -> None:
    told: list[tuple[bytes, int]] = []
    published: list[bytes] = []
    tape = Tape(
        EventWriter("e", "/tap/t", "key:k"), published.extend, lambda: b"AAAA", [KEY], lambda *two: told.append(two)
    )
    stamp = b"2026-11-24T05:45:00.000001Z"
    tape.read(b"plain", stamp, last=False)
    tape.read(b"then sk-live", stamp, last=False)
    tape.read(b"ly", stamp, last=True)
    assert told == [(b"", 7)]
    assert b"".join(read_event(one).body for one in published) == b"plainthen sk-lively"
