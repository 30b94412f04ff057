"""An administrator of the store who removes, adds or renumbers events together with their leaves."""

import pytest

from penstock.streams.source import Source
from penstock.trail.leaf import row_hash
from penstock.trail.ledger import Ledger

from .deployment import TRAFFIC, Deployment, at, replaced

pytestmark = pytest.mark.services
DELETED = "SETTINGS mutations_sync = 2"
LAST = f"topic = '{TRAFFIC}' AND partition = 0 AND offset >= 4"
"""The second exchange of partition 0: leaves 16 to 25, of which the second checkpoint covers all."""


def removed(table: str, where: str) -> str:
    return f"ALTER TABLE penstock.{table} DELETE WHERE {where} {DELETED}"


async def test_an_exchange_removed_everywhere_that_the_checkpoint_covers(sealed: Deployment) -> None:
    sealed.alter(*(removed(table, LAST) for table in ("events_log", "content", "leaves")))
    faults = await sealed.faults()
    assert faults == [("leaf_missing", "leaves 16–25")]


async def test_an_exchange_removed_everywhere_and_the_rest_renumbered(sealed: Deployment) -> None:
    sealed.alter(
        *(removed(table, LAST) for table in ("events_log", "content", "leaves")),
        replaced("leaves", "leaf_index > 25", "toUInt64(leaf_index - 10) AS leaf_index"),
        removed("leaves", "leaf_index > 25"),
    )
    report = await sealed.verify()
    assert [(fault.kind, fault.where) for fault in report.faults] == [("truncated", "leaf 26")]


async def test_an_exchange_removed_and_its_numbers_given_to_others(sealed: Deployment) -> None:
    """As many rows as were signed, none of them altered: other rows, unsigned yet, take the freed numbers."""
    sealed.exchange(partition=1)
    sealed.alter(
        *(removed(table, LAST) for table in ("events_log", "content", "leaves")),
        replaced("leaves", "leaf_index > 25", "toUInt64(leaf_index - 10) AS leaf_index"),
        removed("leaves", "leaf_index > 25"),
    )
    ledger = Ledger(sealed.settings, "writer")
    rows = ledger.unsealed(ledger.places(26))
    newest = ledger.newest_sealer()
    ledger.close()
    values = ", ".join(
        f"({26 + number}, '{TRAFFIC}', {row.partition}, {row.offset}, {row.frame_index}, "
        f"unhex('{row_hash(row).hex()}'), {newest})"
        for number, row in enumerate(rows)
    )
    sealed.alter(f"INSERT INTO penstock.leaves VALUES {values}")
    report = await sealed.verify()
    assert report.leaves == 36
    assert [(fault.kind, fault.where) for fault in report.faults] == [("root", "leaves 16–35")]


async def test_an_exchange_removed_before_it_was_signed(sealed: Deployment) -> None:
    """Kafka's offsets betray it as soon as anything came after it in its partition; until then Kafka is ahead."""
    sealed.exchange()
    sealed.exchange()
    new = f"topic = '{TRAFFIC}' AND partition = 0 AND offset >= 8 AND offset < 12"
    sealed.alter(removed("events_log", new), removed("content", new))
    await sealed.seal()
    kinds = [kind for kind, _ in await sealed.faults()]
    assert kinds[0] == "chain"
    assert {"offsets", "frames"} <= set(kinds)


async def test_a_row_put_between_two_takes_a_number_that_was_given(sealed: Deployment) -> None:
    sealed.alter(
        replaced("leaves", "leaf_index >= 20", "toUInt64(leaf_index + 1) AS leaf_index, sealer + 1 AS sealer"),
        replaced("events_log", at(5, 2), "toUInt32(3) AS frame_index, 'x' AS event_id"),
    )
    ledger = Ledger(sealed.settings, "reader")
    (row,) = ledger.rows(at(5, 3))
    ledger.close()
    sealed.alter(
        f"INSERT INTO penstock.leaves SELECT 20, topic, partition, offset, 3, unhex('{row_hash(row).hex()}'), "
        "sealer + 1 FROM penstock.leaves WHERE leaf_index = 19"
    )
    faults = await sealed.faults()
    assert faults[-1][0] == "content_missing"
    assert [where for kind, where in faults if kind == "root"] == ["leaves 16–35"]


async def test_a_row_before_the_first(sealed: Deployment) -> None:
    sealed.alter(replaced("events_log", at(0, 0, partition=1), "toUInt32(7) AS frame_index"))
    assert ("row_unsealed", f"{TRAFFIC}/1/0/7") in await sealed.faults()


async def test_leaves_of_a_sealer_who_never_was(sealed: Deployment) -> None:
    """Leaves beyond the last checkpoint protect nothing yet, and must not hide those that follow."""
    sealed.exchange()
    sealed.alter(replaced("leaves", "leaf_index = 35", "toUInt64(36) AS leaf_index, toUInt64(99) AS sealer"))
    report = await sealed.verify()
    assert (report.protected, report.unprotected) == (36, 10)
    assert report.ok, report.faults
    assert report.leaves == 36


async def test_a_second_copy_of_nothing(deployment: Deployment) -> None:
    """Marked as a copy before it is sealed, an event drops out of what is shown and counted."""
    deployment.exchange()
    for place, first in (((0, 2), "nowhere"), ((1, 0), f"{TRAFFIC}/0/0/1"), ((1, 1), f"{TRAFFIC}/0/99/0")):
        deployment.alter(
            replaced("events_log", at(*place), f"'{first}' AS duplicate_of"),
            replaced("content", at(*place), "true AS duplicate"),
        )
    await deployment.seal()
    faults = await deployment.faults()
    assert [where for kind, where in faults if kind == "duplicate"] == [
        f"{TRAFFIC}/0/0/2",
        f"{TRAFFIC}/0/1/0",
        f"{TRAFFIC}/0/1/1",
    ]


async def test_a_genuine_second_copy_is_none_of_these(deployment: Deployment) -> None:
    exchange = deployment.exchange()
    ((bodies,),) = deployment.ask(f"SELECT count() FROM penstock.content WHERE exchange_id = '{exchange}'")
    assert bodies == 10
    deployment.record(deployment.settled("x"), deployment.settled("x"))
    await deployment.seal()
    report = await deployment.verify()
    assert report.ok, report.faults
    assert report.duplicates == 1


async def test_an_event_turned_into_a_dead_letter_before_it_is_sealed(deployment: Deployment) -> None:
    deployment.exchange()
    deployment.alter(
        replaced("events_log", at(1, 1), "'dead_letter' AS kind"),
        removed("content", at(1, 1)),
    )
    await deployment.seal()
    assert ("dead_letter", f"{TRAFFIC}/0/1/1") in await deployment.faults()


async def test_a_genuine_dead_letter_is_fine(deployment: Deployment) -> None:
    frame = deployment.frame([b'{"not":"an event"}'])
    deployment.record(frame, Source(*(TRAFFIC, 1, 0, None, b"no frame", frame.headers, frame.appended_at_ms)))
    deployment.record(*(deployment.act(act="dead_letter", event_id=f"dead/{TRAFFIC}/{n}/0/0/audit") for n in (0, 1)))
    await deployment.seal()
    report = await deployment.verify()
    assert report.ok, report.faults
    assert report.dead_lettered == 2


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9])
async def test_every_size_of_a_small_log(deployment: Deployment, count: int) -> None:
    for _ in range(count):
        deployment.record(deployment.act(act="hold"))
        size = (await deployment.seal()).size
    report = await deployment.verify()
    assert (report.ok, report.leaves, report.protected, size) == (True, count, count, count), report.faults
