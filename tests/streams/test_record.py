"""The record worker against a real broker and a real store: nothing lost, nothing twice, whatever is killed."""

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from penstock.schemas import attribution, frames, topics
from penstock.schemas.commitment import ZERO, commitment
from penstock.schemas.ids import new_exchange_id
from penstock.schemas.records import write_record
from penstock.schemas.settings import Settings

from .running import PARTITIONS, Services
from .test_decode import settled
from .traffic import AT_US, exchange_events, headers, interleaved

pytestmark = pytest.mark.services
Start = Callable[[str, Settings], AbstractContextManager[subprocess.Popen[bytes]]]
OF_TRAFFIC = f"FROM penstock.events_log WHERE topic = '{topics.TRAFFIC}'"
COUNT = f"SELECT count() {OF_TRAFFIC}"


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, start_embedded: Start) -> Iterator[Services]:
    with Services(tmp_path_factory.mktemp("record"), start_embedded) as found:
        yield found


@pytest.fixture(scope="module")
def worker(services: Services) -> Iterator[subprocess.Popen[bytes]]:
    """One worker for the tests that kill none."""
    with services.worker() as process:
        yield process


def load_of(seed: int, exchanges: int = 200) -> tuple[list[dict[str, Any]], int]:
    """Messages of frames that mix many exchanges, over all partitions, and how many events they hold."""
    split, count = interleaved(exchanges, chunks=97, per_frame=16)
    pick = random.Random(seed)
    messages = [
        {"value": frames.write_frame(events), "partition": pick.randrange(PARTITIONS), "headers": list(headers(number))}
        for number, events in enumerate(split)
    ]
    return messages, count


@contextmanager
def sending(services: Services, messages: Sequence[dict[str, Any]]) -> Iterator[None]:
    """Sends messages from a thread while the block runs, and to the end."""

    def send() -> None:
        for start in range(0, len(messages), 50):
            services.produce(topics.TRAFFIC, messages[start : start + 50])

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def check_rows(services: Services, before: int, sent: int) -> None:
    """No row lost, none twice (without FINAL), every chain whole, every content row's commitment right."""
    ((rows, unique, indexes),) = services.query(
        f"SELECT count(), uniqExact(partition, offset, frame_index), uniqExact(event_id) {OF_TRAFFIC}"
    )
    assert rows == before + sent
    assert unique == rows
    assert indexes == rows
    links = services.query(
        f"SELECT partition, commitment, previous {OF_TRAFFIC} ORDER BY partition, offset, frame_index"
    )
    last: dict[int, bytes] = {}
    for partition, made, previous in links:
        assert previous == last.get(partition, ZERO)
        last[partition] = made
    broken = services.query(
        f"SELECT count() {OF_TRAFFIC} AND event_id NOT IN (SELECT event_id FROM penstock.content)"
        f" AND kind != 'dead_letter'"
    )
    assert broken == [(0,)]


@pytest.mark.faults
def test_killed_workers_lose_and_double_nothing(services: Services) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    pick = random.Random(seed)
    before = int(services.query(COUNT)[0][0])
    messages, sent = load_of(seed)
    lives = 5
    for life in range(lives):
        services.produce(topics.TRAFFIC, messages[life::lives])
        worker = services.start_worker()
        services.ready(worker)
        time.sleep(pick.uniform(0, 0.6))  # a kill at a random moment, most of them under load, is the point
        worker.kill()
        worker.wait()
    with services.worker():
        services.until(COUNT, before + sent)
    check_rows(services, before, sent)


@pytest.mark.faults
def test_a_killed_store_is_waited_for(services: Services) -> None:
    before = int(services.query(COUNT)[0][0])
    messages, sent = load_of(seed=7)
    with services.worker(), sending(services, messages):
        for part in (1, 2):
            services.until(COUNT, before + sent * part // 4)
            services.kill_store()
            time.sleep(1)  # the outage
            services.start_store()
        services.until(COUNT, before + sent)
    check_rows(services, before, sent)


def test_two_workers_share_the_partitions(services: Services) -> None:
    before = int(services.query(COUNT)[0][0])
    messages, sent = load_of(seed=8)
    with services.worker(), sending(services, messages):
        other = services.start_worker(1)
        services.ready(other, "record-1")
        other.send_signal(signal.SIGTERM)
        assert other.wait(30) == 0
        services.until(COUNT, before + sent)
    check_rows(services, before, sent)


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
