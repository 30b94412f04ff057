"""The fast codec of traffic events says what the pydantic contract says, for any bytes."""

import base64
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.schemas import frames, ids
from penstock.schemas.errors import EventError, FrameError
from penstock.schemas.events import TrafficEvent

EXCHANGE = "019ab1f2-5c3e-7a41-9d0b-3f6f2f0e8a11"


def encode(
    body: bytes, seq: int = 1, kind: str = frames.CHUNK, origin: bytes = b"upstream", extra: bytes = b""
) -> bytes:
    writer = frames.EventWriter(EXCHANGE, '/tap/a"b', "key:müller")
    salt = base64.b64encode(bytes(range(16)))
    return writer.write(kind, seq, ids.rfc3339(1_763_962_500_000_001).encode(), salt, body, origin=origin, extra=extra)


@given(
    st.one_of(st.binary(max_size=3000), st.text(max_size=1500).map(str.encode)),
    st.integers(0, 2**31),
    st.sampled_from(list(frames.KINDS)),
    st.sampled_from([b"client", b"upstream", b"tap"]),
)
@example(b"\x00" * 3000, 1, frames.PROMPT, b"client")
@example('"\\\u2028\ud7ff😀'.encode(), 1, frames.CHUNK, b"upstream")
def test_any_bytes_survive(body: bytes, seq: int, kind: str, origin: bytes) -> None:
    raw = encode(body, seq, kind, origin)
    event = frames.read_event(raw)
    model = TrafficEvent.model_validate_json(raw)
    assert event.body == body
    assert (event.id, event.seq, event.type, event.origin) == (model.id, model.seq, model.type, model.origin)
    assert (event.source, event.subject) == (model.source, model.subject) == ('/tap/a"b', "key:müller")
    assert event.salt_bytes == bytes(range(16))
    assert (model.data is None) == (event.data is None) != (model.data_base64 is None)
    assert len(raw) <= len(body) * 4 / 3 + 900


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_frame_is_its_events(bodies: list[bytes]) -> None:
    encoded = [encode(body, seq) for seq, body in enumerate(bodies)]
    value = frames.write_frame(encoded)
    assert isinstance(json.loads(value), list)
    assert [bytes(raw) for raw in frames.split_frame(value)] == encoded
    assert [event.body for event in map(frames.read_event, frames.split_frame(value))] == bodies


def test_optional_members() -> None:
    event = frames.read_event(encode(b"x", extra=b',"part":3,"withheld":true,"redacted":"1-4","start":9'))
    assert (event.part, event.withheld, event.redacted, event.start, event.kind) == (3, True, "1-4", 9, "chunk")


@given(st.binary(max_size=200))
@example(b"")
@example(b"{}")
@example(b"[1")
@example(b"null")
def test_hostile_records_raise_frame_or_event_error(value: bytes) -> None:
    try:
        for raw in frames.split_frame(value):
            frames.read_event(raw)
    except (FrameError, EventError):
        pass


@pytest.mark.parametrize(
    ("member", "value", "complaint"),
    [
        ("type", "penstock.other.v1", "unknown event type"),
        ("seq", "7", "int"),
        ("salt", "!!", "base64"),
        ("data", None, "neither"),
    ],
)
def test_one_wrong_member_is_named_without_content(member: str, value: object, complaint: str) -> None:
    content = json.loads(encode(b"the secret text"))
    content[member] = value
    with pytest.raises(EventError, match=complaint) as caught:
        frames.read_event(json.dumps(content).encode())
    assert "secret" not in str(caught.value)


def test_a_missing_member_is_an_event_error() -> None:
    content = json.loads(encode(b"x"))
    del content["exchangeid"]
    with pytest.raises(EventError, match="exchangeid"):
        frames.read_event(json.dumps(content).encode())


def test_a_part_of_the_largest_size_fits_a_record() -> None:
    from penstock.schemas.topics import MAX_MESSAGE_BYTES

    for body in (b"\x00" * frames.PART_MAX_BYTES, b"\xff" * frames.PART_MAX_BYTES, b'"' * frames.PART_MAX_BYTES):
        assert len(frames.write_frame([encode(body)])) < MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    "changed",
    [{"seq": -1}, {"seq": 2**32}, {"seq": 10**30}, {"part": -1}, {"id": "other/0"}, {"id": "x/1"}, {"data": None}],
)
def test_an_event_that_the_trail_calls_dead_is_read_by_nobody(changed: dict[str, object]) -> None:
    raw = frames.EventWriter("x", "/tap/t", "key:k").write(frames.CHUNK, 0, b"2026-11-24T05:45:00Z", b"", b"body")
    assert frames.read_event(raw).seq == 0
    with pytest.raises(EventError):
        frames.read_event(json.dumps({**json.loads(raw), **changed}).encode())
