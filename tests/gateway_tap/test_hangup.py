"""What the kernel knows of a peer that nobody reads from."""

import asyncio
import socket
import struct
from typing import cast

import pytest

from penstock.gateway_tap.hangup import has_hung_up


@pytest.mark.parametrize("how", ["close", "half-close", "reset", "close behind data"])
async def test_a_peer_that_left_is_noticed_without_reading(how: str) -> None:
    taken: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()

    class Unread(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            cast(asyncio.Transport, transport).pause_reading()
            taken.set_result(cast(asyncio.Transport, transport))

    server = await asyncio.get_running_loop().create_server(Unread, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as peer:
        transport = await asyncio.wait_for(taken, 5)
        assert not has_hung_up(transport)
        if how == "half-close":
            peer.shutdown(socket.SHUT_WR)
        elif how == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "close behind data":
            peer.sendall(bytes(100_000))
        if how != "half-close":
            peer.close()
        async with asyncio.timeout(5):
            while not has_hung_up(transport):  # noqa: ASYNC110 - the kernel has no event for what is not read
                await asyncio.sleep(0.002)
    transport.abort()
    server.close()


def test_without_a_connection_nobody_has_hung_up() -> None:
    class Closed(asyncio.Transport):
        def get_extra_info(self, name: str, default: object = None) -> None:
            return None

    assert not has_hung_up(Closed())
