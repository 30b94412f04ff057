"""The SDKs of Google, Anthropic and Azure through the tap: each API, streamed and not, in each way it can end."""

import asyncio
import contextlib
import hashlib

import anthropic
import openai
import pytest
from google.genai import errors

from .providers import CASES, Provider

REASON = "the budget of team research is used up"
each = pytest.mark.parametrize("name", CASES)
STREAMED = [name for name, case in CASES.items() if case.texts]
streamed = pytest.mark.parametrize("name", STREAMED)
pytestmark = pytest.mark.filterwarnings(
    "ignore:Inheritance class AiohttpClientSession:DeprecationWarning"  # google-genai's own
)


async def begin(upstream, tap, name, **options):
    case = CASES[name]
    provider = Provider(case, **options)
    gate = await tap((await upstream(provider)).url, dialect=case.dialect, mode="enforce")
    return gate, provider, case


def told(gate):
    return b"".join(event.body for event in gate.events() if event.kind == "chunk" and event.origin == "upstream")


@each
async def test_a_whole_answer_is_recorded_byte_for_byte(upstream, tap, name):
    gate, _, case = await begin(upstream, tap, name)
    await case.ask(gate.url)
    completion = await gate.completion()
    head = gate.head()
    assert (completion.outcome, head.api, head.model, head.stream) == ("completed", case.api, case.model, False)
    assert told(gate) == case.whole
    assert completion.client_sha256 == hashlib.sha256(case.whole).hexdigest()
    assert len(completion.usage) == case.usage


@streamed
async def test_a_stream_is_recorded_byte_for_byte(upstream, tap, name):
    gate, provider, case = await begin(upstream, tap, name)
    provider.say(*case.events, end=True)
    async with case.texts(gate.url) as texts:
        assert [text async for text in texts] == ["one", "two"]
    completion = await gate.completion()
    assert (completion.outcome, completion.chunk_count) == ("completed", len(case.events))
    assert (gate.head().stream, gate.head().model) == (True, case.model)
    assert told(gate) == b"".join(case.events)
    assert completion.client_sha256 == hashlib.sha256(b"".join(case.events)).hexdigest()
    assert completion.usage
    assert completion.finish_reason in ("STOP", "tool_use", "stop")


@streamed
async def test_a_killed_stream_raises_with_the_reason(upstream, tap, name):
    gate, provider, case = await begin(upstream, tap, name)
    provider.say(*case.events[: case.cut])
    async with case.texts(gate.url) as texts:
        assert await anext(texts) == "one"
        gate.order(scope=f"exchange:{gate.ids()[0]}", limit_scope="team:research")
        with pytest.raises(case.killed) as raised:
            await anext(texts)
    assert REASON in str(raised.value)
    assert "budget_exceeded" in str(getattr(raised.value, "body", raised.value)).lower()
    await asyncio.wait_for(provider.gone.wait(), 5)
    assert (await gate.completion()).outcome == "killed"
    assert told(gate) == b"".join(case.events[: case.cut])
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("name", "stream"),
    [(name, stream) for name, case in CASES.items() for stream in (False, True) if case.texts or not stream],
)
async def test_a_blocked_request_raises_after_one_attempt(upstream, tap, name, stream):
    gate, provider, case = await begin(upstream, tap, name)
    gate.order(action="block", scope=f"model:{case.model}", rule="r")
    with pytest.raises(case.blocked, match="used up") as raised:
        if stream:
            async with case.texts(gate.url) as texts:
                await anext(texts)
        else:
            await case.ask(gate.url)
    assert getattr(raised.value, "status_code", getattr(raised.value, "code", None)) == 429
    assert provider.asked == []
    assert len(gate.ids()) == 1
    assert (await gate.completion()).outcome == "blocked"


@streamed
async def test_a_client_that_leaves_ends_the_upstream(upstream, tap, name):
    gate, provider, case = await begin(upstream, tap, name)
    provider.say(*case.events[: case.cut])
    async with case.texts(gate.url) as texts:
        await anext(texts)
    await asyncio.wait_for(provider.gone.wait(), 5)
    assert (await gate.completion()).outcome == "client_disconnected"
    assert told(gate) == b"".join(case.events[: case.cut])


@each
async def test_an_upstreams_error_passes_through(upstream, tap, name):
    gate, provider, case = await begin(upstream, tap, name, status=b"400 Bad Request")
    with pytest.raises((errors.ClientError, anthropic.BadRequestError, openai.BadRequestError)):
        await case.ask(gate.url)
    completion = await gate.completion()
    assert (completion.outcome, completion.status, len(provider.asked)) == ("upstream_error", 400, 1)
    assert told(gate) == case.whole


@streamed
async def test_an_error_within_a_stream_passes_through_and_is_noted(upstream, tap, name):
    gate, provider, case = await begin(upstream, tap, name)
    events = [*case.events[: case.cut], case.trouble]
    provider.say(*events, end=True)
    async with case.texts(gate.url) as texts:
        assert await anext(texts) == "one"
        with pytest.raises((errors.ServerError, anthropic.APIStatusError, openai.APIError), match="overloaded"):
            await anext(texts)
    completion = await gate.completion()
    assert (completion.outcome, completion.status) == ("upstream_error", 200)
    assert completion.reason == "the upstream reported an error in its answer"
    assert told(gate) == b"".join(events)


@streamed
async def test_an_upstream_that_breaks_off_is_no_clean_end(upstream, tap, name):
    gate, provider, case = await begin(upstream, tap, name)
    provider.say(*case.events[: case.cut])
    async with case.texts(gate.url) as texts:
        await anext(texts)
        provider.break_off()
        with pytest.raises(Exception, match=r"(?i)peer closed|incomplete|connection|payload is not completed"):
            await anext(texts)
    assert (await gate.completion()).outcome == "upstream_error"


@each
async def test_no_key_leaves_the_tap_but_for_its_provider(upstream, tap, name):
    gate, provider, case = await begin(upstream, tap, name)
    with contextlib.suppress(Exception):
        await case.ask(gate.url)
    await gate.completion()
    assert b"test-0123456789" not in b"".join(event.body for event in gate.events())
    assert len(provider.asked) == 1
