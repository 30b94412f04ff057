"""Pure: which requests are let in at all, by their headers. Browsers reach loopback too, on behalf of any page."""

from collections.abc import Mapping

from .ports import is_loopback
from .store_errors import ACCESS_DENIED, StoreError, refuse


def check_door(headers: Mapping[str, str], peer: str) -> None:
    """Returns if the request may come in; StoreError 497 (HTTP 403) says why not.

    The Host must name loopback (else a name that an attacker points at 127.0.0.1 would make a page same-origin, DNS
    rebinding); a request with an Origin, or that a page of another site caused (Fetch Metadata), is refused whatever
    credentials it carries, since a browser adds stored ones by itself.
    """
    if not is_loopback(peer):
        raise _closed("it answers loopback alone")
    host = headers.get("Host", "")
    if not is_loopback(_name(host)):
        raise _closed(f"the Host {host[:100]!r} is no loopback name")
    if "Origin" in headers:
        raise _closed("pages in a browser may not ask it")
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise _closed("pages of another site may not ask it")


def _name(host: str) -> str:
    """The host of a Host header (RFC 9110, 7.2) without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _closed(why: str) -> StoreError:
    return refuse(ACCESS_DENIED, f"The embedded store refuses this request: {why}.")
