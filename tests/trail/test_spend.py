"""Who used how much; an unknown price is never a zero."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from penstock.schemas.errors import UsageError
from penstock.trail.spend import Spend, read_since, read_spend

from .deployment import Deployment

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
FACTS = (
    "INSERT INTO penstock.exchange_facts (exchange_id, started_at, team, model, key_id, input_tokens, output_tokens, "
    "cached_tokens, usage_source, cost_usd, outcome) VALUES "
    "('a', '2026-11-24 11:00:00', 'red', 'm1', 'k1', 100, 50, 20, 'reported', 0.25, 'completed'),"
    "('b', '2026-11-24 11:30:00', 'red', 'm2', 'k1', 100, 50, 0, 'counted', NULL, 'killed'),"
    "('c', '2026-11-24 11:45:00', 'blue', 'm2', 'k2', 10, 5, 0, 'estimated', NULL, 'completed'),"
    "('d', '2026-11-24 11:50:00', 'blue', 'm2', 'k2', 0, 0, 0, 'none', NULL, 'blocked'),"
    "('e', '2026-11-20 11:50:00', '', 'm2', 'k3', 1, 1, 0, 'reported', 0.000000000001, 'completed')"
)


@pytest.mark.services
def test_use_is_summed_by_group_and_time(deployment: Deployment) -> None:
    deployment.alter(FACTS, FACTS)
    by_team = {found.group["team"]: found for found in read_spend(deployment.settings, ["team"], None)}
    red, blue = by_team["red"], by_team["blue"]
    assert (red.requests, red.input_tokens, red.output_tokens, red.cached_tokens) == (2, 200, 100, 20)
    assert (red.cost, red.share(red.reported_tokens), red.killed) == ("≥ 0.25 (1 unpriced)", "50%", 1)
    assert (blue.cost, blue.cost_usd, blue.unpriced, blue.blocked) == ("unknown", None, 1, 1)
    assert by_team[""].cost == "< 0.000001"
    assert by_team[""].to_json()["cost_usd"] == "0.000000000001"
    recent = read_spend(deployment.settings, ["key", "model"], NOW - timedelta(minutes=40))
    assert [found.group for found in recent] == [{"key": "k1", "model": "m2"}, {"key": "k2", "model": "m2"}]


@pytest.mark.services
def test_the_command_prints_a_table_or_json(deployment: Deployment) -> None:
    assert b"no exchange" in deployment.penstock("spend").stdout
    deployment.alter(FACTS)
    assert "≥ 0.25 (1 unpriced)" in deployment.penstock("spend", "--by", "team,key").stdout.decode()
    found = json.loads(deployment.penstock("spend", "--json", "--since", "2026-11-24").stdout)
    assert [(row["team"], row["cost_usd"]) for row in found] == [("red", "0.250000000000"), ("blue", None)]
    assert deployment.penstock("spend", "--by", "colour").returncode == 2


@pytest.mark.parametrize(
    ("tokens", "share"),
    [(0, "0%"), (1, "< 1%"), (100, "1%"), (5000, "50%"), (9900, "99%"), (9999, "> 99%"), (10000, "100%")],
)
def test_a_share_is_all_or_nothing_only_if_it_is(tokens: int, share: str) -> None:
    used = Spend({}, 1, 9000, 1000, 0, 0, 0, tokens, 0, 0, None, 0, 0, 0, 0)
    assert used.share(tokens) == share
    assert Spend({}, 1, 0, 0, 0, 0, 0, 0, 0, 0, None, 0, 0, 0, 0).share(0) == "–"


def test_spans_and_dates() -> None:
    assert read_since("90s", NOW) == NOW - timedelta(seconds=90)
    assert read_since("2w", NOW) == NOW - timedelta(weeks=2)
    assert read_since("2026-11-24", NOW) == datetime(2026, 11, 24, tzinfo=UTC)
    assert read_since("2026-11-24T12:00:00+02:00", NOW) == datetime(2026, 11, 24, 10, tzinfo=UTC)
    for wrong in ("", "d", "1y", "-1d", "yesterday"):
        with pytest.raises(UsageError, match="--since"):
            read_since(wrong, NOW)
