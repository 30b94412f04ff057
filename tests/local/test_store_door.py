"""Which requests are let in by their headers."""

import pytest

from penstock.local.store_door import check_door
from penstock.local.store_errors import StoreError

LOCAL = {"Host": "127.0.0.1:8123"}


@pytest.mark.parametrize("host", ["localhost", "localhost:8123", "127.0.0.1", "[::1]:8123", "LOCALHOST:1"])
def test_loopback_names_are_let_in(host: str) -> None:
    check_door({"Host": host}, "127.0.0.1")
    check_door({"Host": host, "Sec-Fetch-Site": "none"}, "::1")


@pytest.mark.parametrize(
    "host", ["", "evil.example", "127.0.0.1.evil.example:8123", "[::2]", "localhost.evil", "[", "10.0.0.1"]
)
def test_other_names_are_not(host: str) -> None:
    with pytest.raises(StoreError, match="no loopback name") as raised:
        check_door({"Host": host}, "127.0.0.1")
    assert raised.value.status == 403


@pytest.mark.parametrize(
    "marks",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8123"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_are_not_let_in_whatever_they_know(marks: dict[str, str]) -> None:
    with pytest.raises(StoreError):
        check_door({**LOCAL, **marks, "X-ClickHouse-Key": "even the right one"}, "127.0.0.1")


def test_other_machines_are_not() -> None:
    with pytest.raises(StoreError):
        check_door(LOCAL, "192.168.1.7")
