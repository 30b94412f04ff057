"""Kills, blocks and audit strict, over real sockets."""

import asyncio
import contextlib
import hashlib
from typing import Any

import anthropic
import openai
import pytest

from penstock.gateway_tap.memory import MemoryPublisher
from penstock.schemas.keys import KeyRecord, key_hash, unknown_key_id
from penstock.wire.ending import kill_ending

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
REASON = "the budget of team research is used up"
ASK = b'{"model":"m","stream":true}'
ONE = b'data: {"id":"r","model":"m","choices":[{"index":0,"delta":{"content":"one"},"finish_reason":null}]}\n\n'
TWO = ONE.replace(b"one", b"two")
ENDING = kill_ending("openai.chat", REASON, "killed_by_policy")


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


class Paced:
    """An upstream whose answer the test writes piece by piece."""

    def __init__(self):
        self.queue, self.gone = asyncio.Queue(), asyncio.Event()

    async def __call__(self, call, reader, writer):
        watch = asyncio.create_task(self.watch(reader))
        try:
            while (data := await self.queue.get()) is not None:
                writer.write(data)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def watch(self, reader):
        with contextlib.suppress(ConnectionResetError):
            await reader.read(1)
        self.gone.set()
        self.queue.put_nowait(None)

    def say(self, *pieces):
        for piece in pieces:
            self.queue.put_nowait(piece)


async def read_body(reader, end=None):
    """Body bytes of a chunked answer: up to `end`, or to the clean end of the body."""
    got = b""
    while end is None or not got.endswith(end):
        size = int(await asyncio.wait_for(reader.readuntil(b"\r\n"), 5), 16)
        data = await reader.readexactly(size)
        await reader.readexactly(2)
        if not size:
            return got
        got += data
    return got


async def begin(upstream, tap, post, *first, mode="enforce", body=ASK, path="/v1/chat/completions", **options):
    paced = Paced()
    gate = await tap((await upstream(paced)).url, mode=mode, **options)
    reader, writer = await gate.connect()
    writer.write(post(body, path=path))
    if first:
        paced.say(HEAD, *map(chunk, first))
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        await read_body(reader, b"".join(first))
    return gate, paced, reader


def told(events, *, withheld=False):
    return b"".join(event.body for event in events if event.kind == "chunk" and (withheld or not event.withheld))


async def test_a_kill_between_events_ends_the_stream_at_once(upstream, tap, post):
    gate, paced, reader = await begin(upstream, tap, post, ONE)
    exchange_id = gate.ids()[0]
    gate.order(scope=f"exchange:{exchange_id}", crossed_at_us=5, allowed_output_tokens=1, limit_scope="team:research")
    ending = kill_ending("openai.chat", REASON, "budget_exceeded")
    assert await read_body(reader) == ending
    await asyncio.wait_for(paced.gone.wait(), 5)
    completion = await gate.completion()
    assert (completion.outcome, completion.reason) == ("killed", REASON)
    assert completion.killed_by is not None
    assert completion.killed_by.scope == "team:research"
    assert completion.killed_by.applied_at_us >= completion.killed_by.received_at_us
    assert told(gate.events()) == ONE + ending
    assert completion.client_sha256 == hashlib.sha256(ONE + ending).hexdigest()
    assert completion.response_sha256 == hashlib.sha256(ONE).hexdigest()


async def test_a_kill_in_an_event_waits_for_its_end_and_withholds_the_rest(upstream, tap, post):
    gate, paced, reader = await begin(upstream, tap, post, ONE, TWO[:20])
    gate.order(scope=f"exchange:{gate.ids()[0]}")
    paced.say(chunk(TWO[20:] + ONE + b"data: ha"))
    assert await read_body(reader) == TWO[20:] + ENDING
    completion = await gate.completion()
    events = gate.events()
    assert told(events) == ONE + TWO + ENDING
    assert [event.body for event in events if event.withheld] == [ONE, b"data: ha"]
    assert completion.response_sha256 == hashlib.sha256(ONE + TWO + ONE + b"data: ha").hexdigest()
    assert completion.client_sha256 == hashlib.sha256(ONE + TWO + ENDING).hexdigest()
    assert completion.chunk_count == 4


async def test_a_kill_waits_no_longer_than_it_may(upstream, tap, post):
    gate, _, reader = await begin(upstream, tap, post, ONE, TWO[:20])
    gate.order(scope=f"exchange:{gate.ids()[0]}")
    assert await read_body(reader) == b"\n\n" + ENDING
    await gate.completion()
    assert told(gate.events()) == ONE + TWO[:20] + b"\n\n" + ENDING


async def test_an_upstream_that_ends_while_a_kill_waits(upstream, tap, post):
    gate, paced, reader = await begin(upstream, tap, post, ONE, TWO[:20])
    gate.order(scope=f"exchange:{gate.ids()[0]}")
    paced.say(b"0\r\n\r\n", None)
    assert await read_body(reader) == b"\n\n" + ENDING
    assert (await gate.completion()).outcome == "killed"


async def test_a_kill_before_the_answer_is_a_429(upstream, tap, post, answer):
    gate, paced, reader = await begin(upstream, tap, post)
    await asyncio.sleep(0.05)
    gate.order(scope=f"exchange:{gate.ids()[0]}", retry_after_s=3)
    status, headers, body = await answer(reader)
    assert (status, headers["retry-after"], headers["x-should-retry"]) == (429, "3", "false")
    assert REASON.encode() in body
    await asyncio.wait_for(paced.gone.wait(), 5)
    completion = await gate.completion()
    assert (completion.outcome, completion.status) == ("killed", 429)


async def test_a_kill_of_another_body_breaks_the_connection(upstream, tap, post):
    gate, paced, reader = await begin(upstream, tap, post)
    paced.say(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    await asyncio.wait_for(reader.readuntil(b"half"), 5)
    gate.order(scope=f"exchange:{gate.ids()[0]}")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await asyncio.wait_for(reader.readexactly(1), 5)
    assert (await gate.completion()).outcome == "killed"
    assert told(gate.events()) == b"half"


async def test_a_scope_kill_ends_what_runs_in_it(upstream, tap, post):
    gate, _, reader = await begin(upstream, tap, post, ONE)
    gate.order(scope="team:other")
    assert not gate.completions()
    gate.order(scope="key:anonymous", rule="limit-2", order_id="o2")
    assert (await read_body(reader)).endswith(b"data: [DONE]\n\n")
    assert (await gate.completion()).outcome == "killed"


async def test_a_kill_after_the_end_changes_nothing(upstream, tap, post):
    gate, paced, reader = await begin(upstream, tap, post, ONE)
    paced.say(b"0\r\n\r\n", None)
    await read_body(reader)
    await gate.completion()
    gate.order(scope=f"exchange:{gate.ids()[0]}")
    assert [completion.outcome for completion in gate.completions()] == ["completed"]


async def test_mode_observe_notes_what_it_would_have_done(upstream, tap, post):
    gate, paced, reader = await begin(upstream, tap, post, ONE, mode="observe")
    for epoch in (1, 2):
        gate.order(scope=f"exchange:{gate.ids()[0]}", epoch=epoch)
    paced.say(chunk(TWO), b"0\r\n\r\n", None)
    assert await read_body(reader) == TWO
    completion = await gate.completion()
    assert (completion.outcome, completion.killed_by) == ("completed", None)
    assert [(order.order_id, order.observed) for order in completion.observed] == [("order-1", True)]


async def test_a_block_in_mode_observe_lets_through(upstream, tap, post):
    gate, paced, reader = await begin(upstream, tap, post, ONE, mode="observe")
    paced.say(b"0\r\n\r\n", None)
    await read_body(reader)
    gate.order(action="block", scope="key:anonymous")
    reader, writer = await gate.connect()
    writer.write(post(ASK))
    paced.say(HEAD, b"0\r\n\r\n", None)
    await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
    completion = await gate.completion(2)
    assert completion.outcome == "completed"
    assert completion.observed[0].observed


@pytest.mark.parametrize("scope", ["", "model:gpt-4o"])
async def test_a_block_is_one_attempt_for_the_openai_sdk(upstream, tap, scope):
    gate = await tap((await upstream(Paced())).url, mode="enforce")
    key_id = unknown_key_id(key_hash(b"sk-unknown-1", gate.core.pepper))
    gate.order(action="block", scope=scope or f"key:{key_id}", retry_after_s=30)
    async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="sk-unknown-1", max_retries=2) as client:
        with pytest.raises(openai.RateLimitError) as refused:
            await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    assert REASON in str(refused.value)
    assert refused.value.response.headers["retry-after"] == "30"
    assert len(gate.ids()) == 1
    completion = await gate.completion()
    assert (completion.outcome, completion.status) == ("blocked", 429)
    assert completion.killed_by is not None


async def test_the_sdks_raise_when_a_stream_is_killed(upstream, tap):
    paced = Paced()
    gate = await tap((await upstream(paced)).url, mode="enforce")
    paced.say(HEAD, chunk(ONE))
    async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="k" * 20, max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        texts = []
        with pytest.raises(openai.APIError, match="used up"):
            async for event in stream:
                texts.append(event.choices[0].delta.content)
                gate.order(scope=f"exchange:{gate.ids()[0]}")
    assert texts == ["one"]


async def test_the_anthropic_sdk_raises_when_a_stream_is_killed(upstream, tap):
    start = (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant",'
        b'"content":[],"model":"c","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}'
        b"\n\n"
    )
    paced = Paced()
    gate = await tap((await upstream(paced)).url, mode="enforce", dialect="anthropic")
    paced.say(HEAD, chunk(start))
    async with anthropic.AsyncAnthropic(base_url=gate.url, api_key="k" * 20, max_retries=0) as client:
        stream = await client.messages.create(
            model="c", max_tokens=5, messages=[{"role": "user", "content": "hi"}], stream=True
        )
        with pytest.raises(anthropic.APIStatusError, match="used up"):
            async for _ in stream:
                gate.order(scope=f"exchange:{gate.ids()[0]}")
    assert (await gate.completion()).usage == [{"input_tokens": 1, "output_tokens": 1}]


@pytest.mark.parametrize("mode", ["enforce", "observe"])
async def test_a_revoked_key(upstream, tap, post, answer, mode):
    async def fine(call, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    policy: dict[str, Any] = {"owner": {"name": "o", "contact": "c"}, "version": "1"}
    gate = await tap((await upstream(fine)).url, mode=mode, policy=policy)
    record = {"id": "k1", "hash": key_hash(b"sk-revoked-1", gate.core.pepper), "team": "t", "state": "revoked"}
    gate.core.keys.apply("k1", KeyRecord.model_validate(record))
    reader, writer = await gate.connect()
    writer.write(post(b"{}", headers="authorization: Bearer sk-revoked-1\r\n"))
    status, _, body = await answer(reader)
    completion = await gate.completion()
    assert gate.head().identity.key_id == "k1"
    if mode == "enforce":
        assert (status, completion.outcome, completion.reason) == (401, "blocked", "the key is revoked")
        assert b"invalid_api_key" in body
    else:
        assert (status, completion.outcome) == (200, "completed")
        assert completion.observed[0].reason == "the key is revoked"


async def test_enforce_refuses_until_it_has_read_its_orders(upstream, tap, post, answer):
    gate = await tap((await upstream(Paced())).url, mode="enforce")
    gate.core.gate.ready = False
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    assert (await answer(reader))[0] == 503
    gate.core.gate.ready, gate.core.gate.loss = True, "deny_new"
    writer.write(post(b"{}"))
    assert (await answer(reader))[0] == 503


# ── audit strict ──


@pytest.fixture
def held() -> MemoryPublisher:
    publisher = MemoryPublisher()
    publisher.hold()
    return publisher


async def test_strict_calls_the_upstream_once_the_prompt_is_acknowledged(upstream, tap, post, answer, held):
    async def fine(call, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    up = await upstream(fine)
    gate = await tap(up.url, mode="enforce", audit="strict", publisher=held)
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    await asyncio.sleep(0.1)
    assert up.calls == []
    assert [event.kind for event in held.events] == ["prompt", "prompt"]
    held.release()
    assert (await answer(reader))[2] == b"{}"


@pytest.mark.parametrize("terminal", [b"data: [DONE]\n\n", b""])
async def test_strict_gives_the_last_bytes_once_the_completion_is_acknowledged(upstream, tap, post, held, terminal):
    held.release()
    gate, paced, reader = await begin(upstream, tap, post, ONE, audit="strict", publisher=held)
    held.hold()
    paced.say(chunk(TWO + terminal))
    assert await read_body(reader, TWO) == TWO
    paced.say(b"0\r\n\r\n", None)
    await gate.completion()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)
    held.release()
    assert await read_body(reader) == terminal


async def test_strict_holds_a_whole_short_answer(upstream, tap, post, answer, held):
    async def fine(call, reader, writer):
        held.hold()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    held.release()
    gate = await tap((await upstream(fine)).url, mode="enforce", audit="strict", publisher=held)
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    await gate.completion()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)
    held.release()
    assert (await answer(reader))[2] == b"{}"


async def test_strict_refuses_when_kafka_stays_away(upstream, tap, post, answer, held, monkeypatch):
    monkeypatch.setattr("penstock.gateway_tap.core.PROMPT_ACK_S", 0.1)
    up = await upstream(Paced())
    gate = await tap(up.url, mode="enforce", audit="strict", publisher=held)
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    status, headers, body = await answer(reader)
    assert (status, headers["retry-after"]) == (503, "1")
    assert b"audit trail" in body
    assert (await gate.completion()).outcome == "tap_error"
    assert up.calls == []


async def test_strict_gives_nothing_that_is_not_recorded(upstream, tap, post, held):
    held.release()
    _, paced, reader = await begin(upstream, tap, post, ONE, audit="strict", publisher=held)
    held.queue_max_bytes = 0
    held.hold()
    paced.say(chunk(TWO))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await read_body(reader)


async def test_a_stop_ends_what_still_runs(upstream, tap, post):
    gate, _, reader = await begin(upstream, tap, post, ONE)
    for relay in list(gate.core.running.values()):
        relay.stop()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await read_body(reader)
    completion = await gate.completion()
    assert (completion.outcome, completion.reason) == ("tap_error", "the gateway is not ready: it is stopping")
