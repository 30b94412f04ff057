"""A connection is made to an address that was checked, and kept while the name still stands for it."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme

from penstock.gateway_tap import names
from penstock.gateway_tap.deadlines import Deadlines
from penstock.gateway_tap.outlet import Turn
from penstock.gateway_tap.pool import Pool
from penstock.gateway_tap.routes import Routes
from penstock.gateway_tap.upstream import Upstream
from penstock.schemas import tap_settings

from .pools import Late, connected


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server on 127.0.0.1 alone that only accepts."""
    writers: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0.01)


def make(url: str, *, allow_private: bool = True) -> tuple[Pool, Late]:
    clock, given = Late(), tap_settings.Timeouts()
    (route,) = Routes([tap_settings.Upstream(name="a", url=url, allow_private=allow_private)], given)
    return Pool(route, Deadlines(clock, given), clock, Turn(), 30.0), clock


def answers(monkeypatch: pytest.MonkeyPatch, *found: list[str]) -> list[tuple[str, int]]:
    """The resolver gives one answer after another, the last one for ever; returns what it was asked."""
    left, asked = list(found), []

    async def look_up(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(names, "look_up", look_up)
    return asked


async def test_an_address_that_refuses_is_passed_over(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch, ["127.0.0.2", "127.0.0.3", "127.0.0.1"])
    pool, _ = make(f"http://api.example:{port}")
    upstream = await connected(pool)
    assert isinstance(upstream, Upstream)
    assert upstream.address == "127.0.0.1"
    assert asked == [("api.example", port)]
    upstream.close()


async def test_a_private_address_behind_a_name_is_not_called(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, ["127.0.0.1"])
    pool, _ = make(f"http://api.example:{port}", allow_private=False)
    assert "stands for no address that the gateway may call" in str(await connected(pool))
    literal, _ = make(f"http://127.0.0.1:{port}", allow_private=False)
    upstream = await connected(literal)
    assert isinstance(upstream, Upstream)
    upstream.close()


async def test_connections_to_an_address_that_the_name_left_are_not_kept(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answers(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    pool, clock = make(f"http://api.example:{port}")
    waiting, working = await connected(pool), await connected(pool)
    assert isinstance(waiting, Upstream)
    assert isinstance(working, Upstream)
    waiting.reused = working.reused = True
    clock.ahead_s = 31.0
    pool.give_back(waiting)
    assert pool.idle() is waiting
    pool.give_back(waiting)
    async with asyncio.timeout(5):
        while len(asked) < 2 or waiting.usable:  # noqa: ASYNC110 - a lookup in the background has no event of its own
            await asyncio.sleep(0.002)
    assert working.usable, "what runs goes on"
    pool.give_back(working)
    assert not working.usable
    assert pool.idle_count == 0


@pytest.mark.parametrize("name", ["api.example", "other.example"])
async def test_a_certificate_is_checked_for_the_name_and_not_for_the_address(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    served, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("api.example").configure_cert(served)
    authority.configure_trust(trusted)
    answers(monkeypatch, ["127.0.0.1"])
    monkeypatch.setattr(ssl, "create_default_context", lambda cafile: trusted)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=served)
    try:
        pool, _ = make(f"https://{name}:{server.sockets[0].getsockname()[1]}")
        upstream = await connected(pool)
        if name == "api.example":
            assert isinstance(upstream, Upstream)
            upstream.close()
        else:
            assert upstream == "upstream TLS failed: CERTIFICATE_VERIFY_FAILED False connect"
    finally:  # an open server would hold up the end of the loop for ever
        server.close()
