"""What a name may stand for."""

import pytest

from penstock.gateway_tap.ranges import is_literal, may_stand_for


@pytest.mark.parametrize("address", ["1.1.1.1", "104.18.7.192", "2606:4700::6812:7c0", "64:ff9b::101:101"])
def test_public_addresses(address: str) -> None:
    assert may_stand_for(address, allow_private=False)


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.5", "172.16.3.4", "192.168.1.1", "127.0.0.1", "::1", "fd12::1", "100.64.0.1", "198.18.0.1"),
        *("::ffff:10.0.0.5", "64:ff9b::a00:5", "2002:a00:5::1"),
    ],
)
def test_private_addresses_need_the_setting(address: str) -> None:
    assert not may_stand_for(address, allow_private=False)
    assert may_stand_for(address, allow_private=True)


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.170.2", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254"),
        *("64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"),
        *("192.0.0.192", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "240.0.0.1", "ff02::1"),
    ],
)
def test_metadata_and_the_like_never(address: str) -> None:
    assert not may_stand_for(address, allow_private=False)
    assert not may_stand_for(address, allow_private=True)


def test_what_a_url_says_itself() -> None:
    assert all(is_literal(host) for host in ("127.0.0.1", "169.254.169.254", "::1", "localhost", "a.localhost"))
    assert not any(
        is_literal(host) for host in ("api.openai.com", "localhost.evil.example", "127.0.0.1.nip.io", "2130706433")
    )
