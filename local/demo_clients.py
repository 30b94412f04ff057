"""Edge: the teams' programs: the providers' own SDKs, pointed at the tap by their base URL and nothing else."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import anthropic
import openai

from .demo_calls import Call, Outcome


async def run_conversations(
    conversations: list[list[Call]], url: str, keys: Mapping[str, str], told: Callable[[Outcome], None]
) -> list[Outcome]:
    """All conversations at once through the tap at `url`; `told` hears of each exchange as it ends.

    `keys` holds each team's credential. Errors of the SDKs are outcomes; nothing is tried a second time by us.
    """
    async with AsyncExitStack() as stack:
        clients = {team: await _clients(stack, url, key) for team, key in keys.items()}

        async def converse(calls: list[Call]) -> list[Outcome]:
            found = []
            for call in calls:
                found.append(await _ask(call, *clients[call.team]))
                told(found[-1])
            return found

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(converse(calls)) for calls in conversations]
        return [outcome for task in tasks for outcome in task.result()]


async def _clients(stack: AsyncExitStack, url: str, key: str) -> tuple[openai.AsyncOpenAI, anthropic.AsyncAnthropic]:
    """SDKs as shipped, with their own retries: that a refusal is not tried again is the tap's doing."""
    return (
        await stack.enter_async_context(openai.AsyncOpenAI(base_url=f"{url}/openai/v1", api_key=key)),
        await stack.enter_async_context(anthropic.AsyncAnthropic(base_url=f"{url}/anthropic", api_key=key)),
    )


async def _ask(call: Call, oai: openai.AsyncOpenAI, ant: anthropic.AsyncAnthropic) -> Outcome:
    outcome = Outcome(call)
    try:
        if call.kind == "message":
            await _message(call, ant, outcome)
        elif call.kind == "chat":
            await _chat(call, oai, outcome)
        else:
            await _other(call, oai, outcome)
    except (openai.APIError, anthropic.APIError) as error:
        outcome.error, outcome.message = type(error).__name__, error.message
        if isinstance(error, openai.APIStatusError | anthropic.APIStatusError) and not outcome.status:
            _heard(outcome, error.response)
            outcome.body = error.response.content
    return outcome


async def _chat(call: Call, client: openai.AsyncOpenAI, outcome: Outcome) -> None:
    asked: dict[str, Any] = {
        "model": call.model,
        "messages": [{"role": "user", "content": call.prompt}],
        "extra_headers": call.headers,
    }
    if not call.stream:
        raw = await client.chat.completions.with_raw_response.create(**asked)
        _heard(outcome, raw.http_response)
        outcome.text = raw.parse().choices[0].message.content or ""
        return
    if call.usage:
        asked["stream_options"] = {"include_usage": True}
    stream = await client.chat.completions.create(**asked, stream=True)
    _heard(outcome, stream.response)
    async for chunk in stream:
        if chunk.choices:
            outcome.text += chunk.choices[0].delta.content or ""


async def _message(call: Call, client: anthropic.AsyncAnthropic, outcome: Outcome) -> None:
    asked: dict[str, Any] = {
        "model": call.model,
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": call.prompt}],
        "extra_headers": call.headers,
    }
    if not call.stream:
        raw = await client.messages.with_raw_response.create(**asked)
        _heard(outcome, raw.http_response)
        message = await raw.parse()
        outcome.text = "".join(block.text for block in message.content if block.type == "text")
        return
    stream = await client.messages.create(**asked, stream=True)
    _heard(outcome, stream.response)
    async for event in stream:
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            outcome.text += event.delta.text


async def _other(call: Call, client: openai.AsyncOpenAI, outcome: Outcome) -> None:
    asked: dict[str, Any] = {"model": call.model, "extra_headers": call.headers}
    if call.kind == "embedding":
        raw = await client.embeddings.with_raw_response.create(**asked, input=call.prompt, encoding_format="base64")
        _heard(outcome, raw.http_response)
        return
    answer = await client.completions.with_raw_response.create(**asked, prompt=call.prompt)
    _heard(outcome, answer.http_response)
    outcome.text = answer.parse().choices[0].text


def _heard(outcome: Outcome, response: Any) -> None:
    outcome.status = response.status_code
    outcome.exchange_id = response.headers.get("x-penstock-exchange-id", "")
    outcome.request_id = response.headers.get("x-request-id") or response.headers.get("request-id", "")
