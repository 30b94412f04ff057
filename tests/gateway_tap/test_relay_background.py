"""OpenAI's SDK through the tap: a response that goes on without its request, fetched, resumed and cancelled."""

import json
from typing import Any

import openai
import pytest

from penstock.gateway_tap.partition import partition_of

MADE = {"object": "response", "created_at": 1, "model": "o3", "output": [], "tools": [], "tool_choice": "auto"}
USAGE = {
    "input_tokens": 3,
    "output_tokens": 2,
    "total_tokens": 5,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}


def response(status: str, **members: Any) -> dict[str, Any]:
    return {"id": "resp_1", "background": True, "status": status, "parallel_tool_calls": True, **MADE, **members}


class Provider:
    """Makes one background response: queued when asked for, done when it is fetched for the second time."""

    def __init__(self) -> None:
        self.fetched = 0

    async def __call__(self, call: Any, reader: Any, writer: Any) -> None:
        method, target, _ = call.line.split()
        kind, body = b"application/json", b""
        if method == "DELETE":
            body = b'{"id":"resp_1","object":"response.deleted","deleted":true}'
        elif "stream=true" in target:
            done = {"type": "response.completed", "sequence_number": 9, "response": response("completed", usage=USAGE)}
            delta = {"type": "response.output_text.delta", "sequence_number": 8, "delta": "x", "logprobs": []}
            place = {"item_id": "m", "output_index": 0, "content_index": 0}
            events = ({**delta, **place}, done)
            kind = b"text/event-stream"
            body = b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)
        elif target.endswith("/cancel"):
            body = json.dumps(response("cancelled")).encode()
        elif method == "POST":
            body = json.dumps(response("queued")).encode()
        else:
            self.fetched += 1
            said = response("in_progress") if self.fetched == 1 else response("completed", usage=USAGE)
            body = json.dumps(said).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % (kind, len(body)) + body)


async def begin(upstream: Any, tap: Any, **options: Any) -> tuple[Any, openai.AsyncOpenAI]:
    gate = await tap((await upstream(Provider())).url, **options)
    return gate, openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="sk-test-0123456789", max_retries=0)


async def test_all_about_background_responses_meets_in_one_partition(upstream, tap):
    gate, client = await begin(upstream, tap)
    wanted = partition_of("responses:openai", gate.publisher.partitions)
    assert gate.publisher.partitions > 1
    async with client:
        for _ in range(3):
            made = await client.responses.create(model="o3", input="hi", background=True)
            statuses = [(await client.responses.retrieve(made.id)).status for _ in range(2)]
            stream = await client.responses.retrieve(made.id, stream=True, starting_after=7)
            kinds = [event.type async for event in stream]
            assert (await client.responses.cancel(made.id)).status == "cancelled"
            await client.responses.delete(made.id)
    assert statuses == ["completed", "completed"]
    assert kinds == ["response.output_text.delta", "response.completed"]
    await gate.completion(18)
    heads = [gate.head(exchange_id) for exchange_id in gate.ids()]
    assert [head.api for head in heads[:6]] == ["openai.responses"] * 5 + ["opaque"]
    assert [head.stream for head in heads[:6]] == [False, False, False, True, False, False]
    about = [name for name, head in zip(gate.ids(), heads, strict=True) if head.api != "opaque"]
    assert {partition_of(name, gate.publisher.partitions) for name in about} == {wanted}
    assert [len(completion.usage) for completion in gate.completions()[:6]] == [0, 0, 1, 1, 0, 0]
    assert {completion.response_id for completion in gate.completions()[:5]} == {"resp_1"}


async def test_what_is_not_in_the_background_lies_anywhere(upstream, tap):
    gate, client = await begin(upstream, tap)
    async with client:
        for _ in range(24):
            await client.responses.create(model="o3", input="hi")
    assert len({partition_of(name, gate.publisher.partitions) for name in gate.ids()}) > 1


async def test_a_resumed_stream_is_refused_like_any_request(upstream, tap):
    gate, client = await begin(upstream, tap, mode="enforce")
    async with client:
        await client.responses.create(model="o3", input="hi", background=True)
        gate.order(action="block", scope=f"key:{gate.head().identity.key_id}", rule="r")
        with pytest.raises(openai.RateLimitError, match="used up"):
            await client.responses.retrieve("resp_1", stream=True)
    assert (await gate.completion(2)).outcome == "blocked"


async def test_a_fetch_needs_no_model_where_the_policy_limits_models(upstream, tap):
    limits = [{"id": "m", "scope": "model:*", "unit": "requests", "amount": 5}]
    policy = {"owner": {"name": "a", "contact": "b"}, "version": "1", "limits": limits}
    _, client = await begin(upstream, tap, mode="enforce", policy=policy)
    async with client:
        assert (await client.responses.retrieve("resp_1")).status == "in_progress"
