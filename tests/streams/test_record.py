"""The record worker against a real broker and a real store: what each kind of record becomes."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import pytest

from penstock.schemas import attribution, frames, topics, violations
from penstock.schemas.commitment import commitment
from penstock.schemas.events import AppliedOrder, Contract
from penstock.schemas.ids import new_exchange_id
from penstock.schemas.records import write_record

from .running import COUNT, OF_TRAFFIC, PARTITIONS, Services
from .test_decode import settled
from .traffic import AT_US, exchange_events, headers

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def worker(services: Services) -> Iterator[subprocess.Popen[bytes]]:
    """One worker for the tests that kill none."""
    with services.worker() as process:
        yield process


@pytest.mark.usefixtures("worker")
def test_poison_is_kept_apart_and_costs_no_neighbour(services: Services) -> None:
    events = exchange_events(exchange := new_exchange_id(), 2)
    poison = b'{"id":"poison","type":"penstock.chunk.v1"}'
    mixed = [*events[:2], poison, *events[2:]]
    (partition, offset), (_, second) = services.produce(
        topics.TRAFFIC,
        [
            {"value": frames.write_frame(mixed), "partition": 2, "headers": list(headers(1))},
            {"value": b"no frame at all", "partition": 2, "headers": list(headers(2))},
        ],
    )
    services.until(f"{COUNT} AND partition = 2 AND offset = {second}", 1)
    services.until("SELECT count() FROM penstock.audit WHERE act = 'dead_letter'", 2)
    rows = services.query(
        f"SELECT frame_index, kind, event_id {OF_TRAFFIC} AND partition = 2 AND offset = {offset} ORDER BY frame_index"
    )
    assert [row[1] for row in rows] == ["prompt", "prompt", "dead_letter", "chunk", "chunk", "completion"]
    assert rows[2][2] == f"dead/{topics.TRAFFIC}/{partition}/{offset}/2"
    letters = services.consume(topics.DEAD_LETTER, 2)
    assert {letter.value for letter in letters} == {poison, b"no frame at all"}
    told = dict(next(letter.headers for letter in letters if letter.value == poison))
    assert told["penstock-dead-offset"] == str(offset).encode()
    assert told["penstock-dead-index"] == b"2"
    assert told["penstock-dead-topic"] == topics.TRAFFIC.encode()
    assert told["penstock-tap"] == b"t1"
    assert services.query(f"SELECT count() FROM penstock.content WHERE exchange_id = '{exchange}'") == [(5,)]


@pytest.mark.usefixtures("worker")
def test_a_replayed_frame_becomes_rows_that_name_the_first_copy(services: Services) -> None:
    events = exchange_events(exchange := new_exchange_id(), 3)
    replayed = list(headers(5, replayed=True))
    (first, second) = services.produce(
        topics.TRAFFIC,
        [
            {"value": frames.write_frame(events[:4]), "partition": 1, "headers": list(headers(4))},
            {"value": frames.write_frame(events), "partition": 1, "headers": replayed},
        ],
    )
    services.until(f"{COUNT} AND exchange_id = '{exchange}'", 10)
    rows = services.query(
        f"SELECT seq, duplicate_of {OF_TRAFFIC} AND exchange_id = '{exchange}' AND offset = {second[1]} ORDER BY seq"
    )
    assert rows == [
        *((seq, f"{topics.TRAFFIC}/1/{first[1]}/{seq}") for seq in range(4)),
        (4, ""),
        (5, ""),
    ]
    again = services.produce(
        topics.TRAFFIC, [{"value": frames.write_frame(events), "partition": 1, "headers": list(headers(6))}]
    )
    services.until(f"{COUNT} AND exchange_id = '{exchange}'", 16)
    found = services.query(
        f"SELECT countIf(duplicate_of != '') {OF_TRAFFIC} AND partition = 1 AND offset = {again[0][1]}"
    )
    assert found == [(6,)]


@pytest.mark.usefixtures("worker")
def test_a_repeated_attribution_is_one_row_of_facts(services: Services) -> None:
    exchange = new_exchange_id()
    fact = settled(exchange_id=exchange)
    messages = []
    for _ in range(2):
        record = write_record(
            fact,
            id=f"{exchange}/attribution",
            type=attribution.TYPE,
            source="/meter/0",
            subject="key:k1",
            time_us=AT_US,
            exchange_id=exchange,
        )
        messages.append({"value": record.value, "key": exchange.encode(), "headers": record.headers()})
    rows = f"SELECT count() FROM penstock.events_log WHERE event_id = '{exchange}/attribution'"
    services.produce(topics.ATTRIBUTION, messages[:1])
    services.until(rows, 1)
    services.produce(topics.ATTRIBUTION, messages[1:])
    services.until(rows, 2)
    assert services.query(f"SELECT count() FROM penstock.exchange_facts WHERE exchange_id = '{exchange}'") == [(1,)]
    assert services.query(
        f"SELECT duplicate_of != '' FROM penstock.events_log WHERE event_id = '{exchange}/attribution' ORDER BY offset"
    ) == [(False,), (True,)]
    ((team, tokens, source, prompt),) = services.query(
        "SELECT team, output_tokens, usage_source, prompt_text FROM penstock.exchanges "
        f"WHERE exchange_id = '{exchange}'"
    )
    assert (team, tokens, source, prompt) == ("t", 4, "counted", "")


def records_of(exchange: str) -> list[tuple[str, str, Contract]]:
    """Topic, type and model of a settled and killed exchange, a violation and a detector's coverage."""
    order = AppliedOrder(
        order_id="o1",
        scope=f"exchange:{exchange}",
        limit_id="stream",
        reason="over",
        epoch=1,
        decided_at_us=AT_US,
        received_at_us=AT_US + 1,
        applied_at_us=AT_US + 3000,
        crossed_at_us=AT_US,
    )
    killed = attribution.Kill(order=order, overshoot_tokens=12, cut_us=3000)
    found = violations.Violation(
        violation_id=f"{exchange}/v1",
        exchange_id=exchange,
        kind="pii",
        detector="d",
        severity="high",
        span=violations.Span(start=3, end=9),
        action="alert",
        frameworks=["a", "b"],
        at_us=AT_US,
    )
    seen = violations.Coverage(exchange_id=exchange, detector="d", segment="prompt", verdict="clean", at_us=AT_US)
    return [
        (topics.ATTRIBUTION, attribution.TYPE, settled(exchange_id=exchange, kill=killed, cost_usd="0.000000000123")),
        (topics.VIOLATIONS["pii"], violations.TYPE, found),
        (topics.COVERAGE, violations.TYPE_COVERAGE, seen),
    ]


@pytest.mark.usefixtures("worker")
def test_every_table_takes_its_records(services: Services) -> None:
    exchange = new_exchange_id()
    for topic, kind, model in records_of(exchange):
        record = write_record(
            model,
            id=f"{exchange}/{topic}",
            type=kind,
            source="/test",
            subject="key:k1",
            time_us=AT_US,
            exchange_id=exchange,
        )
        services.produce(topic, [{"value": record.value, "key": exchange.encode(), "headers": record.headers()}])
    services.until(f"SELECT count() FROM penstock.events_log WHERE exchange_id = '{exchange}'", 3)
    where = f"WHERE exchange_id = '{exchange}'"
    assert services.query(f"SELECT overshoot_tokens, cut_ms FROM penstock.kills {where}") == [(12, 3.0)]
    assert services.query(f"SELECT span.start, span.end, frameworks FROM penstock.violations {where}") == [
        (3, 9, ["a", "b"])
    ]
    assert services.query(f"SELECT verdict FROM penstock.coverage {where}") == [("clean",)]
    ((scope, cost, count),) = services.query(
        f"SELECT killed_by, cost_usd, violation_count FROM penstock.exchanges {where}"
    )
    assert (scope, cost, count) == (f"exchange:{exchange}", Decimal("0.000000000123"), 1)


@pytest.mark.usefixtures("worker")
def test_content_holds_arbitrary_bytes_and_proves_its_leaf(services: Services) -> None:
    exchange = new_exchange_id()
    body = bytes(range(256)) * 3
    writer = frames.EventWriter(exchange, "/tap/t1", "key:k1")
    event = writer.write(frames.CHUNK, 0, b"2026-11-24T00:00:00.000000Z", b"AAAAAAAAAAAAAAAAAAAAAA==", body)
    message = {"value": frames.write_frame([event]), "partition": 0, "headers": list(headers(9))}
    services.produce(topics.TRAFFIC, [message])
    services.until(f"{COUNT} AND exchange_id = '{exchange}'", 1)
    ((stored, salt, subject, attributes),) = services.query(
        f"SELECT hex(body), hex(salt), subject, attributes FROM penstock.content WHERE exchange_id = '{exchange}'"
    )
    assert bytes.fromhex(stored) == body
    ((leaf,),) = services.query(f"SELECT hex(commitment) {OF_TRAFFIC} AND exchange_id = '{exchange}'")
    assert bytes.fromhex(leaf) == commitment(bytes.fromhex(salt), subject, attributes, body)


@pytest.mark.usefixtures("worker")
def test_tombstones_of_compacted_topics_are_rows(services: Services) -> None:
    ((_, offset),) = services.produce(topics.CONTROL, [{"key": b"exchange:x|meter|l|", "value": None}])
    where = f"topic = '{topics.CONTROL}' AND offset = {offset}"
    services.until(f"SELECT count() FROM penstock.events_log WHERE {where}", 1)
    assert services.query(f"SELECT kind, subject FROM penstock.content WHERE {where}") == [
        ("tombstone", "exchange:x|meter|l|")
    ]


def test_a_wrong_partition_count_is_refused(services: Services) -> None:
    environment = {**os.environ, "PENSTOCK_KAFKA__PARTITIONS": str(PARTITIONS + 1)}
    command = [*services.worker_command(), "--instance", "7"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert f"has {PARTITIONS} partitions" in done.stderr


@pytest.mark.usefixtures("worker")
def test_no_body_and_no_dead_letter_reaches_the_log(services: Services) -> None:
    secret = f"canary-{new_exchange_id()}"
    poison = [{"value": json.dumps([{"id": secret, "type": secret, "seq": secret}]).encode(), "partition": 0}]
    ((_, offset),) = services.produce(topics.TRAFFIC, poison)
    services.until(f"{COUNT} AND partition = 0 AND offset = {offset}", 1)
    logs = [path.read_text() for path in services.config.parent.glob("record-*.log")]
    assert Counter(secret in log for log in logs)[True] == 0
