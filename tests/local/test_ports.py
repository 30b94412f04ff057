"""Addresses: parsed, loopback alone, free or taken."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.local.ports import free_ports, is_loopback, join_address, require_free, require_loopback, split_address
from penstock.schemas.errors import ServiceUnavailable, UsageError


@pytest.mark.parametrize(
    ("address", "parts"),
    [("127.0.0.1:9092", ("127.0.0.1", 9092)), ("[::1]:0", ("::1", 0)), ("localhost:65535", ("localhost", 65535))],
)
def test_an_address_is_split_and_joined(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts
    assert join_address(*parts) == address


@pytest.mark.parametrize("address", ["", "9092", "127.0.0.1:", ":9092", "h:65536", "h:-1", "h:٣", "h:1x"])
def test_what_is_no_address_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(UsageError, match=r"127\.0\.0\.1:9092"):
        split_address(address)


@given(st.text())
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    try:
        host, port = split_address(text)
    except UsageError:
        return
    assert host and 0 <= port <= 65535


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.example.org", ""])
def test_only_loopback_is_loopback(host: str) -> None:
    assert not is_loopback(host)
    assert is_loopback("127.8.8.8") and is_loopback("::1") and is_loopback("localhost")


def test_an_embedded_service_listens_on_loopback_alone() -> None:
    with pytest.raises(UsageError, match="for this machine alone"):
        require_loopback("embedded Kafka", "0.0.0.0:9092")


def test_free_ports_differ_and_a_taken_one_is_named() -> None:
    ports = free_ports("127.0.0.1", 5)
    assert len(set(ports)) == 5
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceUnavailable, match=rf"127\.0\.0\.1:{port} is taken.*set tap\.listen"):
            require_free("tap", "127.0.0.1", port, "tap.listen")
    require_free("tap", "127.0.0.1", port, "tap.listen")
