"""What the providers' own SDKs make of a failure: an exception, never half an answer that looks whole."""

import asyncio

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import errors, types

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
OPENAI = b'data: {"id":"r1","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
ANTHROPIC = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"Hi"}}\n\n'
)
GEMINI = b'data: {"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"}}]}\r\n\r\n'
EVENTS = {"openai": OPENAI, "anthropic": ANTHROPIC, "gemini": GEMINI}
BROKEN = {
    "openai": openai.APIConnectionError,
    "anthropic": httpx2.RemoteProtocolError,
    "gemini": httpx2.RemoteProtocolError,
}


def stream(dialect, url, seen):
    """Streams one reply with the dialect's SDK; what comes is added to `seen`."""
    ask = [{"role": "user", "content": "Hi"}]
    if dialect == "openai":
        with openai.OpenAI(base_url=url + "/v1", api_key="sk-1", max_retries=0) as client:
            for part in client.chat.completions.create(model="m", messages=ask, stream=True):
                seen.append(part.choices[0].delta.content)
    elif dialect == "anthropic":
        with anthropic.Anthropic(base_url=url, api_key="sk-1", max_retries=0) as client:
            for part in client.messages.create(model="m", max_tokens=9, messages=ask, stream=True):
                seen.append(part.delta.text)
    else:
        with genai.Client(api_key="sk-1", http_options=types.HttpOptions(base_url=url)) as client:
            for part in client.models.generate_content_stream(model="m", contents="Hi"):
                seen.append(part.text)


@pytest.mark.parametrize("how", ["closes", "stalls", "talks nonsense"])
@pytest.mark.parametrize("dialect", EVENTS)
async def test_a_stream_that_breaks_off_raises(upstream, tap, dialect, how):
    async def break_off(call, reader, writer):
        event = EVENTS[dialect]
        writer.write(HEAD + b"%x\r\n%b\r\n" % (len(event), event))
        await writer.drain()
        await asyncio.sleep(0.02)
        if how == "talks nonsense":
            writer.write(b"nonsense\r\n")
        if how == "closes":
            raise ConnectionResetError
        await reader.read()

    gate = await tap((await upstream(break_off)).url, dialect=dialect, timeouts={"idle_s": 0.2})
    seen = []
    with pytest.raises(BROKEN[dialect]):
        await asyncio.to_thread(stream, dialect, gate.url, seen)
    assert seen == ["Hi"], "what came is given"
    assert (await gate.completion()).outcome == "upstream_error"


@pytest.mark.parametrize("dialect", EVENTS)
async def test_an_upstream_that_is_not_there_raises_an_error_with_its_status(tap, dialect):
    gate = await tap("http://127.0.0.1:1", dialect=dialect)
    with pytest.raises((openai.InternalServerError, anthropic.InternalServerError, errors.ServerError)) as raised:
        await asyncio.to_thread(stream, dialect, gate.url, [])
    assert getattr(raised.value, "status_code", getattr(raised.value, "code", None)) == 502
    assert "upstream refused the connection" in str(raised.value)
