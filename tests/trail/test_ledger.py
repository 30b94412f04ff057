"""Pages: whatever the size of a page, every row and leaf comes once, in order."""

from collections.abc import Iterator

import pytest

from penstock.trail.ledger import Ledger, after, between, beyond, literal
from penstock.trail.sealing import Leaf

from .deployment import Deployment
from .rows import TOPIC, leaves_of

pytestmark = pytest.mark.services
AUDIT = b"penstock.audit.v1"


@pytest.fixture(params=[1, 3, 50_000])
def ledger(deployment: Deployment, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """A ledger over an act and two exchanges of ten events, in pages of different sizes."""
    deployment.record(deployment.act(act="hold"))
    deployment.exchange(partition=0)
    deployment.exchange(partition=1)
    made = Ledger(deployment.settings, "writer", request.param)
    yield made
    made.close()


def test_rows_come_once_and_in_order(ledger: Ledger) -> None:
    assert ledger.partitions() == [((AUDIT, 0), 1), ((TOPIC, 0), 10), ((TOPIC, 1), 10)]
    rows = list(ledger.partition_rows((TOPIC, 1)))
    assert [row.seq for row in rows] == list(range(10))
    assert list(ledger.partition_rows((TOPIC, 1), (1, 0))) == rows[4:]
    wanted = {row.position for row in rows[::3]}
    assert ledger.rows_at(wanted) == {row.position: row for row in rows[::3]}
    assert {content.position for content in ledger.contents(rows)} == {row.position for row in rows}


def test_unsealed_rows_are_those_beyond_the_sealed_places(ledger: Ledger) -> None:
    places = {(AUDIT, 0): (0, 0), (TOPIC, 0): (2, 1)}
    every = ledger.rows(beyond(places), 100)
    assert [(row.topic, row.partition, row.seq) for row in every] == [
        *((TOPIC, 0, seq) for seq in (8, 9)),
        *((TOPIC, 1, seq) for seq in range(10)),
    ]
    assert ledger.unsealed(places) == every[: ledger.page_rows]
    assert len(ledger.rows(beyond({}), 100)) == 21


def test_leaves_come_once_and_the_later_sealers_stands(ledger: Ledger) -> None:
    rows = list(ledger.partition_rows((TOPIC, 0)))
    leaves = leaves_of(rows, sealer=5)
    late = Leaf(3, b"other", 9, 9, 9, bytes(32), sealer=4)
    ledger.insert_leaves(leaves)
    ledger.insert_leaves([late])
    assert list(ledger.leaves(0, ledger.leaf_end())) == leaves
    assert list(ledger.leaves(4, 8)) == leaves[4:8]
    assert (ledger.leaf_end(), ledger.leaf_count(6), ledger.newest_sealer()) == (10, 6, 5)
    assert ledger.places(5) == {(TOPIC, 0): (1, 1)}
    assert [found.offset for found in ledger.unsealed_before((TOPIC, 1), (3, 0), 2)] == [0, 0]


def test_conditions_hold_any_bytes() -> None:
    assert literal(b"a'\xff") == "unhex('6127ff')"
    assert between([]) == "0"
    assert after((b"t", 1), None) == "topic = unhex('74') AND partition = 1 AND 1"
