"""Several addresses: in turn, and the next one too when one takes long."""

import asyncio

import pytest

from penstock.gateway_tap import dial as module
from penstock.gateway_tap.dial import dial


class Connection:
    def __init__(self, address: str) -> None:
        self.address = address
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Network:
    """Addresses that stand, fail, or hang until they are let go."""

    def __init__(self, **kinds: str) -> None:
        self.kinds = kinds
        self.tried: list[str] = []
        self.made: list[Connection] = []
        self.go = asyncio.Event()
        self.cancelled: list[str] = []

    async def __call__(self, address: str) -> Connection:
        self.tried.append(address)
        kind = self.kinds[address]
        try:
            if kind == "hangs":
                await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.append(address)
            raise
        if kind == "fails":
            raise ConnectionRefusedError(address)
        self.made.append(Connection(address))
        return self.made[-1]


async def test_the_first_that_stands() -> None:
    network = Network(a="stands", b="stands")
    assert (await dial(["a", "b"], network)).address == "a"
    assert network.tried == ["a"]


async def test_the_next_one_where_one_fails() -> None:
    network = Network(a="fails", b="fails", c="stands")
    assert (await dial(["a", "b", "c"], network)).address == "c"
    assert network.tried == ["a", "b", "c"]


async def test_all_fail() -> None:
    network = Network(a="fails", b="fails")
    with pytest.raises(ConnectionRefusedError):
        await dial(["a", "b"], network)
    with pytest.raises(ConnectionRefusedError):
        await dial(["a"], network)


async def test_one_that_hangs_does_not_hold_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STAGGER_S", 0.01)
    network = Network(a="hangs", b="fails", c="hangs", d="stands")
    assert (await asyncio.wait_for(dial(["a", "b", "c", "d"], network), 5)).address == "d"
    await asyncio.sleep(0)
    assert sorted(network.cancelled) == ["a", "c"]


async def test_of_two_that_stand_one_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STAGGER_S", 0.01)
    network = Network(a="hangs", b="hangs")
    dialling = asyncio.ensure_future(dial(["a", "b"], network))
    async with asyncio.timeout(5):
        while len(network.tried) < 2:  # noqa: ASYNC110 - the network of this test has no event for it
            await asyncio.sleep(0.002)
    network.go.set()
    kept = await dialling
    await asyncio.sleep(0)
    assert [connection.closed for connection in network.made if connection is not kept] == [True]
    assert not kept.closed


async def test_a_caller_that_gives_up_ends_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STAGGER_S", 0.01)
    network = Network(a="hangs", b="hangs")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await dial(["a", "b"], network)
    await asyncio.sleep(0)
    assert sorted(network.cancelled) == ["a", "b"]
