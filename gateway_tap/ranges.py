"""Pure: which addresses the name of an upstream may stand for.

A name is answered by whoever runs its zone. One that suddenly stands for 169.254.169.254 or 10.0.0.5 would hand
requests to a cloud's metadata service or to a machine behind the firewall. What a setting says literally is trusted.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

_NAT64: Final = ip_network("64:ff9b::/96")
_6TO4: Final = ip_network("2002::/16")
_METADATA: Final = frozenset(
    ip_address(text)
    for text in (
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle Cloud
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google Cloud
    )
)
"""Metadata services outside the link-local ranges. 169.254.169.254 and 169.254.170.2 are inside."""


def is_literal(host: str) -> bool:
    """Whether `host` of a URL says its address itself: an address, or `localhost` (RFC 6761, 6.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def may_stand_for(address: str, *, allow_private: bool) -> bool:
    """Whether a name may stand for `address`. `allow_private` opens private, shared and loopback ranges; link-local and
    metadata addresses, multicast and the like stay shut."""
    found = _inner(ip_address(address.partition("%")[0]))
    if found.is_loopback:
        return allow_private
    if found in _METADATA or found.is_link_local or found.is_multicast or found.is_unspecified or found.is_reserved:
        return False
    return allow_private or found.is_global


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one (RFC 4291, 2.5.5.2; RFC 6052, 2.1; RFC 3056, 2), where there is one."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _6TO4:
        return IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    return address
