"""A request whose model nobody can read, where the policy limits models."""

import gzip
import json

import openai
import pytest

OWNER = {"owner": {"name": "a", "contact": "b"}, "version": "1"}
LIMITS = [{"id": "m", "scope": "model:gpt-4o", "unit": "requests", "amount": 5}]
BODIES = {
    "no-json": (b"model=gpt-4o", ""),
    "no-object": (b'["gpt-4o"]', ""),
    "no-model": (b'{"messages":[]}', ""),
    "model-no-text": (b'{"model":{"id":"gpt-4o"}}', ""),
    "unknown-coding": (b'{"model":"gpt-4o"}', "content-encoding: x-secret\r\n"),
    "damaged-gzip": (gzip.compress(b'{"model":"gpt-4o"}')[:-12], "content-encoding: gzip\r\n"),
    "too-large": (b'{"model":"gpt-4o","x":"%b"}' % (b"x" * 1_000_000), ""),
    "empty": (b"", ""),
}
unread = pytest.mark.parametrize("name", BODIES)


async def fine(call, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")


async def asked(upstream, tap, post, answer, body, headers="", path="/v1/chat/completions", **given):
    policy = {**OWNER, "limits": given.pop("limits", LIMITS), "failures": given.pop("failures", {})}
    source = await upstream(fine)
    gate = await tap(source.url, policy=policy, parse_max_bytes=2048, **{"mode": "enforce", **given})
    reader, writer = await gate.connect()
    writer.write(post(body, path=path, headers=headers))
    return gate, source, await answer(reader)


@unread
async def test_it_is_refused(upstream, tap, post, answer, name):
    gate, source, (status, headers, body) = await asked(upstream, tap, post, answer, *BODIES[name])
    assert (status, json.loads(body)["error"]["code"]) == (400, "model_not_readable")
    assert "tap.parse_max_bytes" in json.loads(body)["error"]["message"]
    assert headers["x-should-retry"] == "false"
    assert source.calls == []
    assert (await gate.completion()).outcome == "blocked"


@unread
async def test_mode_observe_notes_it(upstream, tap, post, answer, name):
    gate, source, (status, _, _) = await asked(upstream, tap, post, answer, *BODIES[name], mode="observe")
    completion = await gate.completion()
    assert (status, completion.outcome, len(source.calls)) == (200, "completed", 1)
    assert [(order.scope, order.observed) for order in completion.observed] == [("model:", True)]


@pytest.mark.parametrize(
    "given",
    [{"failures": {"on_unread_model": "allow"}}, {"limits": [{**LIMITS[0], "scope": "team:*"}]}, {"limits": []}],
    ids=["allowed", "teams-limited", "no-limits"],
)
async def test_it_passes_where_the_policy_does_not_mind(upstream, tap, post, answer, given):
    gate, source, (status, _, _) = await asked(upstream, tap, post, answer, *BODIES["no-model"], **given)
    assert (status, len(source.calls)) == (200, 1)
    assert (await gate.completion()).observed == []


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/images/edits", 400), ("/v1/audio/transcriptions", 400), ("/v1/files", 200), ("/v1/moderations", 200)],
)
async def test_a_form_that_names_none(upstream, tap, post, answer, path, status):
    body = b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'
    _, _, (got, _, _) = await asked(upstream, tap, post, answer, body, path=path)
    assert got == status


async def test_a_read_model_passes_and_azure_names_it_in_the_path(upstream, tap, post, answer):
    for path, body in (("/v1/chat/completions", b'{"model":"m"}'), ("/openai/deployments/d/chat/completions", b"{}")):
        _, _, (status, _, _) = await asked(upstream, tap, post, answer, body, path=path)
        assert status == 200


async def test_the_sdk_raises_at_once(upstream, tap):
    gate = await tap((await upstream(fine)).url, mode="enforce", policy={**OWNER, "limits": LIMITS})
    async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="k" * 20) as client:
        with pytest.raises(openai.BadRequestError, match="cannot be read"):
            await client.chat.completions.create(model=None, messages=[])  # type: ignore[call-overload]
    assert len(gate.ids()) == 1
