"""Which limits apply to whom, and where windows begin and end."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas.events import Identity
from penstock.schemas.usage import Totals
from penstock.streams.limits import applying, matches, scopes_of, used, window_of

from .scripts import limit


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def test_an_exchange_belongs_to_every_scope_that_it_is_charged_to() -> None:
    identity = Identity(key_id="k1", org="o", team="t", app="a", user="u", service_account="s", claimed={"team": "x"})
    assert scopes_of(identity, "gpt-4o", "e1") == (
        "org:o",
        "team:t",
        "app:a",
        "user:u",
        "sa:s",
        "key:k1",
        "model:gpt-4o",
        "exchange:e1",
    )
    assert scopes_of(Identity(key_id="anonymous"), "", "e1") == ("key:anonymous", "exchange:e1")


def test_each_match_of_a_star_has_a_limit_of_its_own() -> None:
    found = applying([limit(id="a"), limit(id="b", scope="team:x"), limit(id="c", scope="org:*")], ("team:x", "key:k"))
    assert [(applied.limit.id, applied.scope, applied.key) for applied in found] == [
        ("a", "team:x", "a|team:x"),
        ("b", "team:x", "b|team:x"),
    ]


@pytest.mark.parametrize(
    ("pattern", "scope", "covered"),
    [
        ("team:*", "team:a", True),
        ("team:*", "key:a", False),
        ("model:gpt-*", "model:gpt-4o", True),
        ("model:gpt-*", "model:claude", False),
        ("user:a[b]*", "user:a[b]c", True),
        ("user:a[b]*", "user:abc", False),
        ("user:a?*", "user:abc", False),
        ("key:a", "key:A", False),
    ],
)
def test_patterns(pattern: str, scope: str, covered: bool) -> None:
    assert matches(pattern, scope) is covered


def test_units() -> None:
    totals = Totals(input_tokens=3, output_tokens=4, cost_usd=Decimal("0.5"), requests=1)
    assert [
        used(unit, totals) for unit in ("input_tokens", "output_tokens", "total_tokens", "cost_usd", "requests")
    ] == [
        3,
        4,
        7,
        Decimal("0.5"),
        1,
    ]


@pytest.mark.parametrize(
    ("window", "timezone", "at", "name", "end"),
    [
        ("minute", "UTC", "2026-11-24T05:45:59+00:00", "2026-11-24T05:45", "2026-11-24T05:46:00+00:00"),
        ("hour", "UTC", "2026-11-24T05:45:59+00:00", "2026-11-24T05", "2026-11-24T06:00:00+00:00"),
        ("day", "UTC", "2026-11-24T05:45:59+00:00", "2026-11-24", "2026-11-25T00:00:00+00:00"),
        ("day", "Europe/Berlin", "2026-11-24T23:30:00+00:00", "2026-11-25", "2026-11-25T23:00:00+00:00"),
        ("day", "Europe/Berlin", "2026-10-25T00:30:00+00:00", "2026-10-25", "2026-10-25T23:00:00+00:00"),
        ("calendar_month", "UTC", "2026-12-31T23:59:59+00:00", "2026-12", "2027-01-01T00:00:00+00:00"),
        ("calendar_month", "Europe/Berlin", "2026-10-31T23:30:00+00:00", "2026-11", "2026-11-30T23:00:00+00:00"),
        ("hour", "Asia/Kolkata", "2026-11-24T05:45:00+00:00", "2026-11-24T11+0530", "2026-11-24T06:30:00+00:00"),
    ],
)
def test_windows(window: str, timezone: str, at: str, name: str, end: str) -> None:
    found = window_of(limit(window=window, timezone=timezone), us(at))
    assert (found.id, found.ends_at_us) == (name, us(end))


def test_a_total_never_ends() -> None:
    assert window_of(limit(), 0).ends_at_us is None


def test_an_hour_that_is_lived_through_twice_is_two_windows() -> None:
    berlin = limit(window="hour", timezone="Europe/Berlin")
    first = window_of(berlin, us("2026-10-25T00:30:00+00:00"))
    second = window_of(berlin, us("2026-10-25T01:30:00+00:00"))
    assert first.id == "2026-10-25T02+0200"
    assert second.id == "2026-10-25T02+0100"
    assert first.ends_at_us == us("2026-10-25T01:00:00+00:00")


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"]
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))


@given(MOMENTS, st.sampled_from(["minute", "hour", "day", "calendar_month"]), st.sampled_from(ZONES))
def test_a_window_holds_its_moments_and_ends_where_the_next_begins(at: datetime, window: str, zone: str) -> None:
    chosen = limit(window=window, timezone=zone)
    at_us = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    found = window_of(chosen, at_us)
    assert found.ends_at_us is not None and at_us < found.ends_at_us
    assert window_of(chosen, found.ends_at_us - 1) == found
    assert window_of(chosen, found.ends_at_us).id != found.id
