"""A store whose files were damaged: `verify` names what cannot be read, and says that the trail is not whole."""

from pathlib import Path

import pytest

from penstock.trail.store import connect

from .deployment import Deployment

pytestmark = pytest.mark.services


def damage(deployment: Deployment, table: str) -> str:
    """Flips bits within the largest part of a table, as a failing disk would; the part's name."""
    client = connect(deployment.settings, "admin")
    where = f"database = 'penstock' AND table = '{table}' AND active"
    name, path = client.query(
        f"SELECT name, path FROM system.parts WHERE {where} ORDER BY bytes_on_disk DESC LIMIT 1"
    ).result_rows[0]
    client.close()
    for file in Path(path).glob("*.bin"):
        data = bytearray(file.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 8] = bytes(byte ^ 0xFF for byte in data[middle : middle + 8])
        file.write_bytes(data)
    return str(name)


@pytest.mark.parametrize("table", ["content", "events_log", "leaves", "exchange_facts"])
async def test_a_damaged_part_is_named(sealed: Deployment, table: str) -> None:
    if table == "exchange_facts":
        sealed.record(sealed.settled("x0"))
    name = damage(sealed, table)
    report = await sealed.verify()
    found = [fault for fault in report.faults if fault.kind == "unreadable"]
    assert [fault.where for fault in found] == [f"penstock.{table} part {name}"]
    result = sealed.penstock("verify")
    assert result.returncode == 1, result.stderr
    assert name in result.stdout.decode()
