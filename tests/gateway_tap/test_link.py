"""The tap's producer: waits for acknowledgements as long as it takes, but not for a broker that is elsewhere by now."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from penstock.gateway_tap import link as module
from penstock.gateway_tap.link import Link
from penstock.schemas.errors import ServiceUnavailable


class Producer:
    """A producer that never hears anything."""

    def __init__(self, **arguments: Any) -> None:
        self.address = arguments["bootstrap_servers"]
        self.stopped = False

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopped = True


class Where:
    """Where the broker is: an address, or None while it is away."""

    def __init__(self) -> None:
        self.address: str | None = "127.0.0.1:1"

    def __call__(self) -> dict[str, Any]:
        if self.address is None:
            raise ServiceUnavailable("kafka does not run here")
        return {"bootstrap_servers": self.address}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AIOKafkaProducer", Producer)
    monkeypatch.setattr(module, "LOOK_AGAIN_S", 0.01)
    monkeypatch.setattr(module, "BACKOFF_FIRST_S", 0.01)


async def test_a_broker_that_has_moved_is_not_waited_for() -> None:
    where = Where()
    link = Link(where)
    producer = await link.producer()
    sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(link.patiently(producer, sent))
    where.address = None
    await asyncio.sleep(0.05)
    assert not waiting.done()
    where.address = "127.0.0.1:2"
    with pytest.raises(KafkaConnectionError) as raised:
        await asyncio.wait_for(waiting, 5)
    await link.discard(producer, raised.value)
    assert producer.stopped
    assert (await link.producer()).address == "127.0.0.1:2"
    sent.set_exception(KafkaConnectionError("late"))


async def test_a_producer_that_another_lane_gave_up_is_not_waited_for() -> None:
    link = Link(Where())
    producer = await link.producer()
    waiting = asyncio.create_task(link.patiently(producer, asyncio.get_running_loop().create_future()))
    await link.discard(producer, KafkaConnectionError("another lane's"))
    with pytest.raises(KafkaConnectionError):
        await asyncio.wait_for(waiting, 5)


async def test_an_acknowledgement_is_passed_on_and_so_is_an_error() -> None:
    link = Link(Where())
    producer = await link.producer()
    sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.03, sent.set_result, None)
    await asyncio.wait_for(link.patiently(producer, sent), 5)
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    failed.set_exception(KafkaConnectionError("refused"))
    with pytest.raises(KafkaConnectionError, match="refused"):
        await link.patiently(producer, failed)
