"""What docs/connections.md says of failures, and what the tests see, are the same words."""

import re
from pathlib import Path

from penstock.schemas.tap_settings import Tap, Timeouts

TESTS = Path(__file__).parent
PAGE = (TESTS.parents[1] / "docs" / "connections.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
SEEN = "".join(path.read_text() for path in TESTS.glob("test_*.py") if path != Path(__file__))


def test_every_reason_is_seen_by_a_test() -> None:
    reasons = [text.rstrip("…").strip() for row in ROWS for text in re.findall(r"`([^`]+)`", row[-1])]
    reasons = [text for text in reasons if " " in text]
    assert len(reasons) > 15
    assert [text for text in reasons if text not in SEEN] == []


def test_every_setting_that_is_named_exists() -> None:
    named = {text for row in ROWS for text in re.findall(r"`([a-z_]+_(?:s|bytes|count|connections))`", row[0])}
    assert len(named) > 10
    assert named <= set(Timeouts.model_fields) | set(Tap.model_fields)


def test_every_status_is_seen_by_a_test() -> None:
    statuses = {text for row in ROWS for text in re.findall(r"\b[45]\d\d\b", " ".join(row[1:-1]))}
    assert len(statuses) > 8
    assert [status for status in sorted(statuses) if not re.search(rf"\b{status}\b", SEEN)] == []
