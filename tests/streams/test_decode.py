"""Every record becomes items, readable or dead, with dense indexes, and nothing that a record holds raises."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.schemas import attribution, audit, frames, keys, topics
from penstock.schemas.commitment import commitment, traffic_attributes
from penstock.schemas.events import Identity
from penstock.schemas.records import write_record
from penstock.streams.decode import decode
from penstock.streams.source import DEAD_LETTER, TOMBSTONE, Source, bounded

from .traffic import AT_US, exchange_events, frame_source, headers, salt_of

EXCHANGE = "01a20c35-0000-7000-8000-000000000001"


def record_source(topic: str, value: bytes | None, given: list[tuple[str, bytes]], key: bytes = b"k") -> Source:
    return Source(topic, 1, 9, key, value, tuple(given), AT_US // 1000)


def settled(**changes: object) -> attribution.Attribution:
    fields: dict[str, object] = {
        "exchange_id": EXCHANGE,
        "identity": Identity(key_id="k1", org="o", team="t"),
        "upstream": "openai",
        "dialect": "openai",
        "api": "openai.chat",
        "path": "/v1/chat/completions",
        "model": "m",
        "outcome": "completed",
        "started_at_us": AT_US,
        "ended_at_us": AT_US + 5,
        "input": attribution.TokenCount(tokens=3, source="reported"),
        "output": attribution.TokenCount(tokens=4, source="counted"),
        **changes,
    }
    return attribution.Attribution.model_validate(fields)


def attribution_source(**changes: object) -> Source:
    record = write_record(
        settled(**changes),
        id=f"{EXCHANGE}/attribution",
        type=attribution.TYPE,
        source="/meter/0",
        subject="key:k1",
        time_us=AT_US,
        exchange_id=EXCHANGE,
    )
    return record_source(topics.ATTRIBUTION, record.value, record.headers())


def test_a_frame_keeps_every_attribute_of_its_events() -> None:
    items = decode(frame_source(exchange_events(EXCHANGE, 2), 4, replayed=True))
    assert [item.kind for item in items] == ["prompt", "prompt", "chunk", "chunk", "completion"]
    assert [(item.index, item.seq) for item in items] == [(number, number) for number in range(5)]
    chunk = items[2]
    assert chunk.event_id == f"{EXCHANGE}/2"
    assert chunk.body == f"data: 0 of {EXCHANGE}\n\n".encode()
    assert chunk.salt == salt_of(chunk.event_id)
    assert chunk.occurred_at_us == AT_US + 2
    assert (chunk.frame.tap_id, chunk.frame.tap_epoch, chunk.frame.frame_number) == ("t1", 7, 4)
    assert chunk.frame.replayed
    assert chunk.attributes == traffic_attributes("chunk", "upstream", 0, False, "")
    assert chunk.commitment == commitment(chunk.salt, chunk.subject, chunk.attributes, chunk.body)


def test_one_bad_event_costs_its_neighbours_nothing() -> None:
    events = exchange_events(EXCHANGE, 1)
    events[1] = b'{"id":"x"}'
    items = decode(frame_source(events))
    assert [item.index for item in items] == [0, 1, 2, 3]
    assert [item.kind for item in items] == ["prompt", DEAD_LETTER, "chunk", "completion"]
    dead = items[1]
    assert dead.body == b'{"id":"x"}'
    assert dead.event_id == f"dead/{topics.TRAFFIC}/0/0/1"
    assert dead.why_dead
    assert dead.commitment == decode(frame_source(events))[1].commitment


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"seq":2', b'"seq":-1'),
        (b'"seq":2', b'"seq":4294967296'),
        (b'"time":"2026', b'"time":"12026'),
        (b'"time":"2026', b'"time":"1926'),
        (b"penstock.chunk.v1", b"penstock.chunk.v9"),
        (EXCHANGE.encode() + b"/2", EXCHANGE.encode() + b"/7"),
        (b'"salt":"', b'"salt":"*'),
        (b'"data":', b'"date":'),
    ],
)
def test_an_event_that_breaks_the_contract_is_dead(old: bytes, new: bytes) -> None:
    events = exchange_events(EXCHANGE, 1)
    assert old in events[2]
    events[2] = events[2].replace(old, new)
    assert [bool(item.why_dead) for item in decode(frame_source(events))] == [False, False, True, False]


@pytest.mark.parametrize("value", [None, b"", b"not json", b'{"a":1}', b"[1,2", b"\xff\xfe", b"[" * 100_000])
def test_a_record_that_is_no_frame_is_one_dead_letter(value: bytes | None) -> None:
    source = Source(topics.TRAFFIC, 0, 3, None, value, headers(0), AT_US // 1000)
    (item,) = decode(source)
    assert (item.kind, item.index, item.body) == (DEAD_LETTER, 0, value or b"")


def test_a_frame_without_its_headers_is_dead() -> None:
    source = Source(topics.TRAFFIC, 0, 3, None, frames.write_frame(exchange_events(EXCHANGE, 1)), (), AT_US // 1000)
    (item,) = decode(source)
    assert item.why_dead == "the header penstock-epoch is missing or no number"


def test_an_attribution_brings_its_facts() -> None:
    (item,) = decode(attribution_source())
    assert item.kind == attribution.TYPE
    assert item.event_id == f"{EXCHANGE}/attribution"
    assert [table for table, _ in item.facts] == ["exchange_facts", "attribution"]
    facts = dict(item.facts)
    assert facts["exchange_facts"]["usage_source"] == "counted"
    assert facts["exchange_facts"]["team"] == "t"
    assert item.commitment == commitment(item.salt, "key:k1", attribution.TYPE, item.body)


@pytest.mark.parametrize(
    "changes",
    [{"status": 70_000}, {"started_at_us": -1}, {"chunk_count": -1}, {"cost_usd": "1e30"}, {"ended_at_us": 2**62}],
)
def test_a_figure_that_fits_no_column_is_a_dead_letter(changes: dict[str, object]) -> None:
    (item,) = decode(attribution_source(**changes))
    assert item.why_dead.endswith("does not fit its column")
    assert not item.facts


def test_a_tombstone_is_a_row_of_its_own_kind() -> None:
    (item,) = decode(record_source(topics.KEYS, None, [], key=b"key-1"))
    assert (item.kind, item.subject, item.body) == (TOMBSTONE, "key-1", b"")
    assert item.commitment == commitment(b"", "key-1", "tombstone", b"")
    (other,) = decode(record_source(topics.AUDIT, None, [], key=b"key-1"))
    assert other.kind == DEAD_LETTER


def test_key_records_and_acts_are_read() -> None:
    key = keys.KeyRecord(id="k1", hash=keys.key_hash(b"credential", b"p" * 32))
    written = write_record(key, id="k1/1", type=keys.TYPE, source="/cli", subject="key:k1", time_us=AT_US)
    (item,) = decode(record_source(topics.KEYS, written.value, written.headers()))
    assert (item.kind, item.facts) == (keys.TYPE, ())
    act = audit.AuditEvent(act="hold", subject="key:k1", actor="cli:me", at_us=AT_US)
    written = write_record(act, id="a/1", type=audit.TYPE, source="/cli", subject="key:k1", time_us=AT_US)
    (item,) = decode(record_source(topics.AUDIT, written.value, written.headers()))
    assert dict(item.facts)["audit"]["event_id"] == "a/1"


@settings(deadline=None)
@given(st.sampled_from(topics.RECORDED), st.none() | st.binary(max_size=300), st.binary(max_size=20))
def test_bytes_of_any_kind_never_raise(topic: str, value: bytes | None, header: bytes) -> None:
    given_headers = (("ce_id", header), ("ce_time", header), ("ce_salt", header), *headers(0))
    items = decode(Source(topic, 0, 0, header, value, given_headers, AT_US // 1000))
    assert [item.index for item in items] == list(range(len(items)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(list(json.loads(exchange_events(EXCHANGE, 1)[2]))), json_values))
def test_members_of_any_shape_never_raise(changes: dict[str, object]) -> None:
    event = {**json.loads(exchange_events(EXCHANGE, 1)[2]), **changes}
    value = b"[" + json.dumps(event).encode() + b"]"
    (item,) = decode(Source(topics.TRAFFIC, 0, 0, None, value, headers(0), AT_US // 1000))
    assert item.index == 0


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_body_comes_back_byte_for_byte(body: bytes) -> None:
    writer = frames.EventWriter(EXCHANGE, "/tap/t1", "key:k1")
    event = writer.write(frames.CHUNK, 0, b"2026-11-24T00:00:00.000000Z", base64.b64encode(bytes(16)), body)
    assert decode(frame_source([event]))[0].body == body


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 100))
def test_runs_keep_the_order_and_the_bound(sizes: list[int], bound: int) -> None:
    sources = [Source("t", 0, offset, None, b"x" * size, (), 0) for offset, size in enumerate(sizes)]
    runs = list(bounded(sources, bound))
    assert [source for run in runs for source in run] == sources
    assert all(len(run) == 1 or sum(source.size_bytes for source in run) <= bound for run in runs)
