"""What a relay does while there is no room for what it records: by mode, audit and policy."""

import asyncio
import json

import pytest

from penstock.gateway_tap.memory import MemoryPublisher

from .test_relay import ASK, JSON, Paced, chunk, give_json

FULL = "its journal is full, and the policy serves no requests until Kafka has taken some of it"


def policy(on_journal_full: str) -> dict[str, object]:
    owner = {"name": "Tests", "contact": "tests@example.org"}
    return {"owner": owner, "version": "1", "failures": {"on_journal_full": on_journal_full}}


def full() -> MemoryPublisher:
    publisher = MemoryPublisher(queue_max_bytes=0)
    publisher.hold()
    return publisher


async def asked(tap, post):
    reader, writer = await tap.connect()
    writer.write(post(ASK))
    return reader, writer


@pytest.mark.parametrize("decision", ["drop_with_gap", "refuse", "wait"])
async def test_observe_serves_whatever_the_policy_says(tap, upstream, post, answer, decision) -> None:
    at = await upstream(give_json)
    running = await tap(at.url, publisher=full(), policy=policy(decision), mode="observe")
    reader, _ = await asked(running, post)
    assert (await answer(reader))[0::2] == (200, JSON)


async def test_enforce_serves_where_events_may_be_dropped(tap, upstream, post, answer) -> None:
    at = await upstream(give_json)
    running = await tap(at.url, publisher=full(), policy=policy("drop_with_gap"), mode="enforce")
    reader, _ = await asked(running, post)
    assert (await answer(reader))[0] == 200


async def test_enforce_refuses_and_names_the_journal(tap, upstream, post, answer) -> None:
    at = await upstream(give_json)
    running = await tap(at.url, publisher=full(), policy=policy("refuse"), mode="enforce")
    reader, _ = await asked(running, post)
    status, headers, body = await answer(reader)
    assert (status, at.calls) == (503, [])
    assert FULL in json.loads(body)["error"]["message"]
    assert headers["x-penstock-exchange-id"]


async def test_enforce_waits_until_there_is_room(tap, upstream, post, answer) -> None:
    at = await upstream(give_json)
    running = await tap(at.url, publisher=full(), policy=policy("wait"), mode="enforce")
    reader, _ = await asked(running, post)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)
    assert at.calls == []
    running.publisher.queue_max_bytes = 1 << 30
    running.publisher.release()
    assert (await answer(reader))[0] == 200


async def test_enforce_waits_no_longer_than_it_was_told(tap, upstream, post, answer) -> None:
    at = await upstream(give_json)
    wait = {"room_wait_s": 0.1}
    running = await tap(at.url, publisher=full(), policy=policy("wait"), mode="enforce", journal=wait)
    reader, _ = await asked(running, post)
    status, _, body = await answer(reader)
    assert (status, at.calls) == (503, [])
    assert FULL in json.loads(body)["error"]["message"]


async def test_a_running_answer_is_read_no_further_while_there_is_no_room(tap, upstream, post) -> None:
    script = Paced()
    at = await upstream(script)
    running = await tap(at.url, policy=policy("wait"), mode="enforce")
    reader, _ = await asked(running, post)
    script.queue.put_nowait(chunk(b"data: 1\n\n"))
    await reader.readuntil(b"data: 1\n\n")
    running.core.press(True)
    script.queue.put_nowait(chunk(b"data: 2\n\n"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readuntil(b"data: 2\n\n"), 0.2)
    (relay,) = running.core.running.values()
    relay.client_full(False)  # a client that keeps up changes nothing
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readuntil(b"data: 2\n\n"), 0.1)
    running.core.press(False)
    await asyncio.wait_for(reader.readuntil(b"data: 2\n\n"), 5)


@pytest.mark.parametrize(
    ("mode", "decision"), [("observe", "wait"), ("enforce", "refuse"), ("enforce", "drop_with_gap")]
)
async def test_a_running_answer_goes_on_where_the_policy_does_not_wait(tap, upstream, post, mode, decision) -> None:
    script = Paced()
    at = await upstream(script)
    running = await tap(at.url, policy=policy(decision), mode=mode)
    reader, _ = await asked(running, post)
    running.core.press(True)
    script.queue.put_nowait(chunk(b"data: 1\n\n"))
    await asyncio.wait_for(reader.readuntil(b"data: 1\n\n"), 5)
