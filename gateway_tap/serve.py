"""Edge: the ports that a tap listens on."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from penstock.schemas.errors import ServiceUnavailable

from .core import Core
from .downstream import Downstream

BACKLOG: Final = 4096


async def listen(
    core: Core,
    address: str,
    *,
    serving: bool = True,
    tls: ssl.SSLContext | None = None,
    shared: bool = False,
) -> tuple[asyncio.Server, str]:
    """Serves clients at `address`, at once or from `start_serving` on; returns the server and its real address.

    `shared`: other processes may listen there too (SO_REUSEPORT). ServiceUnavailable where the address is taken, or
    is not one of this machine.
    """
    return await open_port("tap.listen", address, lambda: Downstream(core), serving=serving, tls=tls, shared=shared)


async def open_port(
    key: str,
    address: str,
    protocol: Callable[[], asyncio.Protocol],
    *,
    serving: bool = True,
    tls: ssl.SSLContext | None = None,
    shared: bool = False,
) -> tuple[asyncio.Server, str]:
    """As `listen`, for any protocol; `key` names the setting in errors."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            protocol, host, int(port), backlog=BACKLOG, start_serving=serving, ssl=tls, reuse_port=shared or None
        )
    except OSError as error:
        raise ServiceUnavailable(
            f"{key}: cannot listen on {address} ({error.strerror or error}): set it to another address (port 0: any"
            " free one), or stop what listens there"
        ) from error
    return server, _real(server)


def _real(server: asyncio.Server) -> str:
    host, port = server.sockets[0].getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
