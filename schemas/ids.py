"""Identifiers and times as Penstock writes them.

Exchange ids are UUIDv7 (RFC 9562) in their 36-character form. Times are UTC with microseconds, RFC 3339.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import Final

from uuid_utils import uuid7

TIMES_US: Final = range(7_258_118_400_000_000)
"""1970 to 2199: what every ClickHouse version shows as it was written."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def new_exchange_id() -> str:
    """A fresh UUIDv7; ids made by one process sort by time."""
    return str(uuid7())


def event_id(exchange_id: str, seq: int) -> str:
    """The id of an event: the same after a replay, since it is made of the exchange and its place in it."""
    return f"{exchange_id}/{seq}"


def new_salt() -> bytes:
    """16 random bytes for one commitment."""
    return os.urandom(16)


def rfc3339(time_us: int) -> str:
    """Microseconds since the epoch as `2026-11-24T05:45:00.000001Z`."""
    return (
        datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{time_us % 1_000_000:06d}Z"
    )


def parse_rfc3339(text: str) -> int:
    """Microseconds since the epoch; ValueError where `text` is no RFC 3339 time with an offset, or lies outside the
    years 1970 to 2199."""
    try:
        time_us = (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    except (ValueError, TypeError) as error:
        raise ValueError("the time is not RFC 3339 with an offset") from error
    if time_us not in TIMES_US:
        raise ValueError("the time lies outside the years 1970 to 2199")
    return time_us
