"""A kill of an encoded stream: the SDK raises, whatever the coding."""

import asyncio
import contextlib
import zlib

import anthropic
import brotli
import openai
import pytest
from backports import zstd

REASON = "the budget of team research is used up"
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: %b\r\ntransfer-encoding: chunked\r\n\r\n"
)
OPENAI = (
    b'data: {"id":"r","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{"content":"one"},"finish_reason":null}]}\n\n'
)
ANTHROPIC = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant",'
    b'"model":"c","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
)


class Flushing:
    """An encoder that gives all it has behind each event."""

    def __init__(self, coding):
        self.zlib = zlib.compressobj(wbits={"gzip": 31, "deflate": 15}.get(coding, 31))
        self.br, self.zstd, self.coding = brotli.Compressor(), zstd.ZstdCompressor(), coding

    def __call__(self, data):
        if self.coding == "br":
            return self.br.process(data) + self.br.flush()
        if self.coding == "zstd":
            return self.zstd.compress(data, zstd.ZstdCompressor.FLUSH_BLOCK)
        return self.zlib.compress(data) + self.zlib.flush(zlib.Z_SYNC_FLUSH)


def stream(coding, pieces):
    """An upstream that gives `pieces`, and then nothing until it is hung up on."""

    async def give(call, reader, writer):
        writer.write(HEAD % coding.encode())
        for piece in pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        with contextlib.suppress(ConnectionError):
            await reader.read(1)

    return give


async def killed(gate):
    exchange = gate.ids()[0]
    gate.order(scope=f"exchange:{exchange}")


@pytest.mark.parametrize(
    ("coding", "message"),
    [("gzip", REASON), ("deflate", REASON), ("br", ""), ("zstd", "")],
)
async def test_openai_raises_on_an_encoded_stream_that_is_killed(upstream, tap, coding, message):
    encode = Flushing(coding)
    gate = await tap((await upstream(stream(coding, [encode(OPENAI)]))).url, mode="enforce")
    async with openai.AsyncOpenAI(base_url=gate.url + "/v1", api_key="sk-x", max_retries=0) as client:
        answer = await client.chat.completions.create(model="m", messages=[], stream=True)
        said = []
        with pytest.raises(Exception) as raised:
            async for part in answer:
                said.append(part.choices[0].delta.content)
                await killed(gate)
    assert said == ["one"]
    assert message in str(raised.value)
    if message:
        assert isinstance(raised.value, openai.APIError)
    completion = await gate.completion()
    assert completion.outcome == "killed"
    assert completion.killed_by is not None


async def test_anthropic_raises_on_an_encoded_stream_that_is_killed(upstream, tap):
    encode = Flushing("gzip")
    gate = await tap((await upstream(stream("gzip", [encode(ANTHROPIC)]))).url, mode="enforce", dialect="anthropic")
    async with anthropic.AsyncAnthropic(base_url=gate.url, api_key="sk-x", max_retries=0) as client:
        answer = await client.messages.create(model="c", max_tokens=9, messages=[], stream=True)
        with pytest.raises(anthropic.APIStatusError, match=REASON):
            async for _ in answer:
                await killed(gate)


async def test_a_kill_within_an_event_waits_until_the_coding_allows_an_end(upstream, tap, post):
    encode, more = Flushing("gzip"), asyncio.Event()
    first, second = encode(OPENAI), encode(OPENAI)

    async def give(call, reader, writer):
        writer.write(HEAD % b"gzip")
        for piece in (first, second[:3]):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        for piece in (second[3:6], second[6:]):
            await more.wait()
            more.clear()
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        with contextlib.suppress(ConnectionError):
            await reader.read(1)

    gate = await tap((await upstream(give)).url, mode="enforce")
    reader, writer = await gate.connect()
    writer.write(post(b'{"model":"m","stream":true}'))
    got = (await reader.readuntil(b"\r\n\r\n"))[:0]
    client = zlib.decompressobj(31)
    while len(got) < len(first) + 3:
        got += await part(reader)
    gate.order(scope=f"exchange:{gate.ids()[0]}")
    more.set()
    got += await part(reader)
    assert len(got) == len(first) + 6
    more.set()
    while data := await part(reader):
        got += data
    text = client.decompress(got)
    assert client.eof
    assert text.startswith(OPENAI * 2)
    assert REASON.encode() in text
    completion = await gate.completion()
    assert (completion.outcome, completion.client_bytes) == ("killed", len(got))
    assert b"".join(event.body for event in gate.events() if event.kind == "chunk") == got


async def part(reader):
    size = int(await asyncio.wait_for(reader.readuntil(b"\r\n"), 5), 16)
    data = await reader.readexactly(size)
    await reader.readexactly(2)
    return data
