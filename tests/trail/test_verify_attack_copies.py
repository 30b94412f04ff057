"""An administrator of the store who wants `penstock spend`, `show` and panels to say what was never recorded."""

import pytest

from .deployment import Deployment, replaced

pytestmark = pytest.mark.services
ATTRIBUTION = "penstock.attribution.v1"
AUDIT = "penstock.audit.v1"


@pytest.fixture
async def spent(deployment: Deployment) -> Deployment:
    """Two exchanges with what they used (x0 was killed), a repeated settlement, and an act; sealed."""
    for name in ("x0", "x1"):
        fields = {} if name == "x0" else {"kill": None, "cost_usd": None, "ttft_us": None, "outcome": "completed"}
        deployment.record(deployment.settled(name, **fields))
    deployment.record(deployment.settled("x0"), deployment.act(act="hold", details={"why": ["ü", 1]}))
    await deployment.seal()
    return deployment


async def test_what_record_wrote_is_what_the_records_say(spent: Deployment) -> None:
    report = await spent.verify()
    assert report.ok, report.faults
    assert (report.copies, report.duplicates) == (6, 1)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("exchange_facts", "'blue' AS team"),
        ("exchange_facts", "toUInt64(1) AS output_tokens"),
        ("exchange_facts", "CAST(0.000000000001 AS Nullable(Decimal(38, 12))) AS cost_usd"),
        ("exchange_facts", "addMicroseconds(started_at, 1) AS started_at"),
        ("exchange_facts", "'v' AS user"),
        ("attribution", "toUInt64(1) AS input_tokens"),
        ("attribution", "'[]' AS usage_raw"),
        ("kills", "toInt64(0) AS overshoot_tokens"),
        ("kills", "'team:blue' AS scope"),
    ],
)
async def test_an_altered_copy_is_named_with_its_record(spent: Deployment, table: str, change: str) -> None:
    spent.alter(replaced(table, "exchange_id = 'x0'", change))
    report = await spent.verify()
    assert {fault.kind for fault in report.faults} == {"copy"}
    assert f"{ATTRIBUTION}/0/0/0" in [fault.where for fault in report.faults] or table == "kills"
    assert all(table in str(fault) for fault in report.faults)


async def test_a_column_is_named_where_one_row_stands(spent: Deployment) -> None:
    spent.alter("ALTER TABLE penstock.exchange_facts UPDATE output_tokens = 1 WHERE 1 SETTINGS mutations_sync = 2")
    assert [str(fault) for fault in (await spent.verify()).faults] == [
        f"{ATTRIBUTION}/0/{offset}/0: its row in exchange_facts was altered: output_tokens is not what the record says"
        for offset in (0, 1)
    ]


@pytest.mark.parametrize("table", ["exchange_facts", "attribution", "kills"])
async def test_a_removed_copy(spent: Deployment, table: str) -> None:
    spent.alter(f"ALTER TABLE penstock.{table} DELETE WHERE exchange_id = 'x0' SETTINGS mutations_sync = 2")
    assert await spent.faults() == [("copy", f"{ATTRIBUTION}/0/0/0")]


@pytest.mark.parametrize("exchange", ["x1", "nobody"])
async def test_a_kill_that_never_was(spent: Deployment, exchange: str) -> None:
    spent.alter(replaced("kills", "exchange_id = 'x0'", f"'{exchange}' AS exchange_id"))
    assert await spent.faults() == [("copy", f"kills {exchange}/team:red")]


@pytest.mark.parametrize("table", ["exchange_facts", "attribution"])
async def test_spending_that_never_was(spent: Deployment, table: str) -> None:
    spent.alter(replaced(table, "exchange_id = 'x0'", "'nobody' AS exchange_id"))
    assert await spent.faults() == [("copy", f"{table} nobody")]


async def test_acts_altered_added_and_removed(spent: Deployment) -> None:
    spent.alter(replaced("audit", "event_id = 'act/0'", "'gap' AS act"))
    assert await spent.faults() == [("copy", f"{AUDIT}/0/0/0")]
    spent.alter(replaced("audit", "event_id = 'act/0'", "'act/1' AS event_id"))
    assert await spent.faults() == [("copy", f"{AUDIT}/0/0/0"), ("copy", "audit act/1")]
    spent.alter("TRUNCATE TABLE penstock.audit")
    assert await spent.faults() == [("copy", f"{AUDIT}/0/0/0")]


@pytest.mark.parametrize("table", ["violations", "coverage"])
async def test_findings_that_never_were(spent: Deployment, table: str) -> None:
    spent.alter(f"INSERT INTO penstock.{table} (exchange_id, detector) VALUES ('x0', 'pii')")
    assert [kind for kind, _ in await spent.faults()] == ["copy"]


async def test_a_settlement_on_its_way_is_no_fault(spent: Deployment) -> None:
    """Record writes content, then copies, then the row: verify may read in between."""
    spent.record(spent.settled("x2"))
    spent.alter("ALTER TABLE penstock.events_log DELETE WHERE offset = 3 SETTINGS mutations_sync = 2")
    faults = await spent.faults()
    assert faults == [("content_added", f"{ATTRIBUTION}/0/3")], "Kafka never gave that offset here"


async def test_an_erased_settlement_leaves_nothing_to_compare_with(spent: Deployment) -> None:
    spent.record(spent.act(act="erased", exchange_id="x0"))
    spent.alter("ALTER TABLE penstock.content DELETE WHERE exchange_id = 'x0' SETTINGS mutations_sync = 2")
    await spent.seal()
    report = await spent.verify()
    assert report.ok, report.faults
    assert report.content_erased == 2
