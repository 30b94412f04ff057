"""Addresses of an upstream's name: kept, looked up again, checked."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.gateway_tap import names as module
from penstock.gateway_tap.clock import Clock
from penstock.gateway_tap.names import RETRY_S, Names, Unresolved, in_turn


class Late(Clock):
    ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s


class Resolver:
    """Gives one answer after another; the last one for ever. None: it fails."""

    def __init__(self, *answers: list[str] | None) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.held: asyncio.Event | None = None

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        if self.held is not None:
            await self.held.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise OSError
        return answer


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Puts answers in the place of the system's resolver."""

    def put(*answers: list[str] | None) -> Resolver:
        resolver = Resolver(*answers)
        monkeypatch.setattr(module, "look_up", resolver)
        return resolver

    return put


def make(host: str = "api.example", *, allow_private: bool = False) -> tuple[Names, Late, list[int]]:
    clock, moves = Late(), [0]

    def moved() -> None:
        moves[0] += 1

    return Names(host, 443, allow_private=allow_private, ttl_s=30.0, clock=clock, moved=moved), clock, moves


async def looked_up(resolver: Resolver, times: int) -> None:
    async with asyncio.timeout(5):
        while resolver.asked < times:  # noqa: ASYNC110 - a lookup in the background has no event of its own
            await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_name_is_looked_up_once_for_all_who_ask(resolve: Any) -> None:
    resolver = resolve(["1.1.1.1"])
    resolver.held = asyncio.Event()
    names, _, _ = make()
    asking = [asyncio.ensure_future(names.addresses()) for _ in range(5)]
    await looked_up(resolver, 1)
    resolver.held.set()
    assert await asyncio.gather(*asking) == [["1.1.1.1"]] * 5
    await names.addresses()
    assert resolver.asked == 1


async def test_an_old_answer_serves_while_a_new_one_is_looked_up(resolve: Any) -> None:
    resolver = resolve(["1.1.1.1"], ["1.0.0.1"])
    names, clock, moves = make()
    await names.addresses()
    clock.ahead_s = 31.0
    resolver.held = asyncio.Event()
    assert await names.addresses() == ["1.1.1.1"]
    resolver.held.set()
    await looked_up(resolver, 2)
    assert await names.addresses() == ["1.0.0.1"]
    assert moves == [1]
    assert not names.holds("1.1.1.1")


async def test_a_resolver_that_fails_changes_nothing(resolve: Any) -> None:
    resolver = resolve(["1.1.1.1"], None)
    names, clock, moves = make()
    await names.addresses()
    clock.ahead_s = 31.0
    await names.addresses()
    await looked_up(resolver, 2)
    assert await names.addresses() == ["1.1.1.1"]
    assert (resolver.asked, moves) == (2, [0])
    clock.ahead_s += RETRY_S
    await names.addresses()
    await looked_up(resolver, 3)


async def test_a_name_that_cannot_be_resolved(resolve: Any) -> None:
    resolve(None)
    names, _, _ = make()
    with pytest.raises(Unresolved, match="cannot be resolved"):
        await names.addresses()
    with pytest.raises(Unresolved):
        await names.addresses()


@pytest.mark.parametrize("address", ["169.254.169.254", "10.0.0.5", "127.0.0.1", "::ffff:127.0.0.1"])
async def test_a_name_that_moves_inside_is_not_followed(resolve: Any, address: str) -> None:
    """DNS rebinding: the first answer is what it should be, the second one is not."""
    resolver = resolve(["1.1.1.1"], [address])
    names, clock, moves = make()
    assert await names.addresses() == ["1.1.1.1"]
    clock.ahead_s = 31.0
    await names.addresses()
    await looked_up(resolver, 2)
    assert not names.holds(address)
    with pytest.raises(Unresolved, match="no address"):
        await names.addresses()
    assert moves == [1]


async def test_only_what_is_allowed_of_an_answer_is_used(resolve: Any) -> None:
    resolve(["169.254.169.254", "1.1.1.1", "10.0.0.5", "1.1.1.1"])
    names, _, _ = make()
    assert await names.addresses() == ["1.1.1.1"]
    names, _, _ = make(allow_private=True)
    assert await names.addresses() == ["1.1.1.1", "10.0.0.5"]


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "::1"])
async def test_an_address_in_the_url_is_itself(resolve: Any, host: str) -> None:
    resolver = resolve(None)
    names, clock, _ = make(host)
    clock.ahead_s = 1e9
    assert await names.addresses() == [host]
    assert resolver.asked == 0


async def test_localhost_is_looked_up_once_and_may_be_this_machine(resolve: Any) -> None:
    resolver = resolve(["::1", "127.0.0.1"])
    names, clock, _ = make("localhost")
    assert await names.addresses() == ["::1", "127.0.0.1"]
    clock.ahead_s = 1e9
    assert await names.addresses() == ["::1", "127.0.0.1"]
    assert resolver.asked == 1


async def test_the_systems_resolver() -> None:
    assert "127.0.0.1" in await module.look_up("localhost", 80)
    with pytest.raises(OSError):
        await module.look_up("no-such-host.invalid", 80)


def test_families_take_turns() -> None:
    assert in_turn(["a:1", "a:2", "a:3", "1", "2"]) == ["a:1", "1", "a:2", "2", "a:3"]
    assert in_turn(["1", "2"]) == ["1", "2"]
