"""The record worker under faults: nothing lost, nothing twice, no chain broken, whatever is killed."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from penstock.schemas import frames, topics
from penstock.schemas.commitment import ZERO

from .running import COUNT, OF_TRAFFIC, PARTITIONS, Services
from .traffic import headers, interleaved

pytestmark = [pytest.mark.services, pytest.mark.faults]


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
    ((rows, unique, ids, firsts),) = services.query(
        "SELECT count(), uniqExact(partition, offset, frame_index), uniqExact(event_id), countIf(duplicate_of = '') "
        + OF_TRAFFIC
    )
    assert rows == before + sent
    assert unique == rows
    assert firsts == ids
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
