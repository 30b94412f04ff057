"""Edge: addresses on this machine: which are loopback, which are free."""

import errno
import ipaddress
import socket

from penstock.schemas.errors import ServiceUnavailable, UsageError


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`; the brackets of an IPv6 address are taken off. UsageError says how to write it."""
    host, separator, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"{address!r} is no address: write HOST:PORT, such as 127.0.0.1:9092 (port 0: any free one)")
    return host, int(port)


def join_address(host: str, port: int) -> str:
    """`HOST:PORT`, with brackets where the host is an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether `host` is a loopback address or `localhost` (RFC 6761: names are not looked up)."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_loopback(what: str, address: str) -> tuple[str, int]:
    """Host and port of an embedded service; UsageError where others could reach it."""
    host, port = split_address(address)
    if not is_loopback(host):
        raise UsageError(
            f"{what}: {address} is no loopback address. The embedded service is for this machine alone: listen on"
            " 127.0.0.1, or name a service of your own (kafka.bootstrap_servers, clickhouse.url)"
        )
    return host, port


def free_ports(host: str, count: int) -> list[int]:
    """Ports of `host` that were free a moment ago, all different. Another process may take one before you do."""
    held = [_bind(host, 0) for _ in range(count)]
    try:
        return [int(listener.getsockname()[1]) for listener in held]
    finally:
        for listener in held:
            listener.close()


def require_free(what: str, host: str, port: int, key: str) -> None:
    """Tries to bind. ServiceUnavailable names the port, and the setting `key` that moves it."""
    try:
        _bind(host, port).close()
    except OSError as error:
        where = join_address(host, port)
        if error.errno == errno.EADDRINUSE:
            raise ServiceUnavailable(
                f"{what}: {where} is taken by another process. Stop it (`ss -ltnp 'sport = :{port}'` names it), or set"
                f" {key} to another port (port 0: any free one)"
            ) from error
        reason = error.strerror or str(error)
        raise ServiceUnavailable(f"{what}: cannot listen on {where} ({reason}): set {key}") from error


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # What servers do as well: a port whose old connections linger in TIME_WAIT is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener
