"""Verify reads while record writes, seal numbers and signs, and parts of tables merge: none of that is a fault."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest

from penstock.trail.report import Report
from penstock.trail.verify_added import check_ahead

from .deployment import Deployment, until

pytestmark = pytest.mark.services
VERIFICATIONS = 6


@contextmanager
def writing(deployment: Deployment) -> Iterator[Event]:
    """Exchanges in two partitions, settlements, repeats and acts, one after another in another thread, until the end.
    The event is set once some are stored."""
    stop, begun = Event(), Event()

    def write() -> int:
        count = 0
        while not stop.is_set():
            exchange = deployment.exchange(chunks=20, per_frame=5, partition=count % 2)
            deployment.record(deployment.settled(exchange), deployment.act(act="hold"), deployment.settled(exchange))
            count += 1
            if count == 3:
                begun.set()
        return count

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(write)
        try:
            assert begun.wait(60)
            yield begun
        finally:
            stop.set()
        assert done.result() > 3


async def test_live_traffic_is_no_fault(deployment: Deployment) -> None:
    sealer = deployment.start("seal")
    reports = []
    with writing(deployment):
        until(lambda: deployment.ask("SELECT count() FROM penstock.checkpoints")[0][0] > 1, "a checkpoint")
        for _ in range(VERIFICATIONS):
            reports.append(await deployment.verify())
            deployment.alter("OPTIMIZE TABLE penstock.events_log FINAL", "OPTIMIZE TABLE penstock.content FINAL")
    # These rows never were in Kafka, so content that is ahead of its row is named; with Kafka it would not be.
    wrong = [str(fault) for report in reports for fault in report.faults if "Kafka never gave" not in fault.message]
    assert wrong == []
    assert reports[-1].rows > reports[0].rows
    sealer.send_signal(signal.SIGTERM)
    assert sealer.wait(30) == 0
    last = await deployment.verify()
    assert last.ok, last.faults
    assert (last.unprotected, last.rows) == (0, last.protected)


def test_content_ahead_of_its_row_is_fine_where_kafka_has_given_its_offset() -> None:
    ahead = {(b"penstock.traffic.v1", 0): (3, 10)}
    given, never, away = Report("log"), Report("log"), Report("log")
    check_ahead(ahead, {("penstock.traffic.v1", 0): 11}, given)
    check_ahead(ahead, {("penstock.traffic.v1", 0): 10}, never)
    check_ahead(ahead, None, away)
    assert (given.ok, never.ok, away.ok) == (True, False, True)
    assert given.notes == away.notes
    assert given.notes[0].startswith("3 rows of content are ahead of their events")
