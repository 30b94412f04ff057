"""Orders and keys as records bring them, with and without a broker."""

import asyncio
import functools
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from penstock.gateway_tap.control import Control
from penstock.schemas import topics
from penstock.schemas.addresses import kafka_client
from penstock.schemas.control import Order, sign_order
from penstock.schemas.keys import KeyRecord, key_hash
from penstock.schemas.settings import Settings
from penstock.trail.topics import ensure_topics

SECRET = b"m" * 32


def order(core: Any, **members: Any) -> Order:
    now_us = core.clock.now_us()
    given: dict[str, Any] = {
        "order_id": "o",
        "action": "block",
        "scope": "team:research",
        "issuer": "meter",
        "rule": "r",
        "reason": "used up",
        "epoch": 1,
        "issued_at_us": now_us,
        "expires_at_us": now_us + 60_000_000,
        **members,
    }
    return sign_order(Order(**given), SECRET)


def value(one: Order) -> bytes:
    return one.model_dump_json().encode()


def closed(core: Any, scope: str) -> bool:
    return core.orders.closing([scope], core.clock.now_us()) is not None


async def test_an_order_with_a_good_mac_holds_until_its_tombstone(tap: Any) -> None:
    core = (await tap()).core
    control = Control(core, [b"old" + bytes(29), SECRET], dict)
    one = order(core)
    control.take_order(one.key, value(one))
    assert closed(core, "team:research")
    control.take_order(one.key, None)
    assert not closed(core, "team:research")


async def test_a_wrong_mac_is_ignored_and_audited(tap: Any) -> None:
    gate = await tap()
    control = Control(gate.core, [b"x" * 32], dict)
    one = order(gate.core)
    control.take_order(one.key, value(one))
    control.take_order("k", b"{not json")
    assert not closed(gate.core, "team:research")
    assert [event.act for event in gate.publisher.audits] == ["order_rejected", "order_rejected"]
    assert control.rejected == 2


async def test_key_records_come_and_go(tap: Any) -> None:
    core = (await tap()).core
    control = Control(core, [SECRET], dict)
    record = KeyRecord(id="k1", hash=key_hash(b"sk-1", core.pepper))
    control.take_key("k1", record.model_dump_json().encode())
    assert core.keys.find(record.hash) == record
    control.take_key("k1", b"{}")
    assert core.keys.find(record.hash) == record
    control.take_key("k1", None)
    assert core.keys.find(record.hash) is None


@pytest.mark.services
async def test_both_topics_are_read_to_their_end_and_followed(
    tap: Any, kafka_bootstrap: str, service_settings: Settings
) -> None:
    await ensure_topics(service_settings)
    client = functools.partial(kafka_client, service_settings)
    gate = await tap(mode="enforce")
    core, name = gate.core, "team:followed"
    producer = AIOKafkaProducer(**client(), acks="all")
    await producer.start()
    before, after = order(core, scope=name), order(core, scope=name, rule="later", action="block")
    record = KeyRecord(id="followed", hash=key_hash(b"sk-followed", core.pepper))
    await producer.send_and_wait(topics.CONTROL, value(before), key=before.key.encode())
    await producer.send_and_wait(topics.KEYS, record.model_dump_json().encode(), key=b"followed")
    control = Control(core, [SECRET], client)
    reading = asyncio.create_task(control.run())
    try:
        await asyncio.wait_for(control.read_to_end.wait(), 20)
        assert closed(core, name)
        assert core.keys.find(record.hash) == record
        await producer.send_and_wait(topics.CONTROL, None, key=before.key.encode())
        await producer.send_and_wait(topics.KEYS, None, key=b"followed")
        async with asyncio.timeout(10):
            while closed(core, name) or core.keys.find(record.hash):  # noqa: ASYNC110 - the tap signals no order
                await asyncio.sleep(0.01)
        await producer.send_and_wait(topics.CONTROL, value(after), key=after.key.encode())
        async with asyncio.timeout(10):
            while not closed(core, name):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        assert control.silent_s < 10
        await producer.send_and_wait(topics.CONTROL, None, key=after.key.encode())
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await producer.stop()


async def test_silence_grows_while_kafka_is_away(tap: Any) -> None:
    core = (await tap()).core
    control = Control(core, [SECRET], lambda: {"bootstrap_servers": "127.0.0.1:1"})
    reading = asyncio.create_task(control.run())
    before_s = control.silent_s
    await asyncio.sleep(0.3)
    assert control.silent_s > before_s
    assert not control.read_to_end.is_set()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
