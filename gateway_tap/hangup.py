"""Edge: whether a peer has closed its side, on a connection that is not read from.

An event loop hears of that by reading. Where the tap does not read (its upstream does not take the body), the kernel
still knows: the first byte of `TCP_INFO` is the state of the connection (tcp(7), linux/tcp.h).
"""

import asyncio
import socket
from typing import Final

_CLOSED: Final = frozenset({7, 8, 9, 11})
"""TCP_CLOSE, TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_CLOSING."""


def has_hung_up(transport: asyncio.Transport) -> bool:
    """False also where there is no TCP connection to ask."""
    connection = transport.get_extra_info("socket")
    try:
        state: bytes = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    except (OSError, AttributeError):
        return False
    return bool(state) and state[0] in _CLOSED
