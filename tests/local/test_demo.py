"""`penstock demo`, whole: it checks itself, and its report says what it claims."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from penstock.local.demo_setup import fresh_folder
from penstock.schemas.errors import PenstockError


@pytest.mark.services
def test_the_demo_checks_all_that_it_claims(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    command = [sys.executable, "-m", "penstock.cli.main", "demo", "--json", "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads((folder / "report.json").read_text())
    assert report["ok"] and report["verify"]["ok"]
    assert report["exchanges"] == report["identical"] == 18
    (killed,) = report["killed"]
    assert killed["scope"] == "team:research"
    assert 0 <= killed["overshoot_tokens"] < 400
    assert killed["cut_ms"] > 0
    assert {row["team"] for row in report["spend"]} == {"research", "support", "billing", "search"}
    assert all(Decimal(row["cost_usd"]) > 0 for row in report["spend"])
    assert report["verify"]["leaves"] > 500
    assert not list((folder / "state" / "run").glob("*.pid"))
    for line in (folder / "penstock.yaml").read_text().splitlines() + (folder / "policy.yaml").read_text().splitlines():
        assert "sk-demo" not in line


def test_a_folder_that_is_no_demos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(PenstockError, match="no demo's folder"):
        fresh_folder(tmp_path)
    assert (tmp_path / "precious").exists()


def test_a_demo_that_was_is_emptied(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "penstock.yaml").touch()
    fresh_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []
