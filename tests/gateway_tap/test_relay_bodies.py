"""Bodies of every size and framing: passed on unchanged, recorded whole, never gathered in memory."""

import asyncio
import hashlib
import os
from pathlib import Path

SSE = [b"data: one\n\n", b"data: [DONE]\n\n"]
JSON = b'{"id":"r2","model":"m-1"}'
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


def rss_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def give_json(call, reader, writer):
    writer.write(JSON_HEAD % len(JSON) + JSON)


async def give_stream(call, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for event in SSE:
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
    writer.write(b"0\r\n\r\n")


async def test_prefixes_choose_the_upstream(upstream, tap, post, answer):
    first, second = await upstream(give_json), await upstream(give_json)
    gate = await tap(first.url, second.url + "/base")
    reader, writer = await gate.connect()
    writer.write(post(b"{}", path="/other/v1/x?a=1"))
    await answer(reader)
    assert [call.line for call in second.calls] == ["POST /base/v1/x?a=1 HTTP/1.1"]
    assert second.calls[0].header("host") == second.url.removeprefix("http://")
    assert first.calls == []


async def test_head_and_empty_answers(upstream, tap, answer):
    async def empty(call, reader, writer):
        if call.line.startswith("HEAD"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    gate = await tap((await upstream(empty)).url)
    reader, writer = await gate.connect()
    writer.write(b"HEAD /v1/models HTTP/1.1\r\nhost: x\r\n\r\nGET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
    status, headers, _ = await answer(reader, head_only=True)
    assert (status, headers["content-length"]) == (200, "99")
    status, headers, _ = await answer(reader)
    assert status == 204
    assert "content-length" not in headers
    await gate.completion(2)
    assert [len(gate.events(one)) for one in gate.ids()] == [2, 2]


async def test_http10_clients_get_no_chunks(upstream, tap):
    gate = await tap((await upstream(give_stream)).url)
    reader, writer = await gate.connect()
    writer.write(b"POST /v1/chat/completions HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}")
    got = await asyncio.wait_for(reader.read(), 5)
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert b"transfer-encoding" not in head
    assert body == b"".join(SSE)


async def test_an_answer_without_framing_ends_with_its_connection(upstream, tap, post, answer):
    async def old(call, reader, writer):
        writer.write(b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nhello")
        raise ConnectionResetError

    gate = await tap((await upstream(old)).url)
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    assert (await answer(reader))[2] == b"hello"
    assert (await gate.completion()).outcome == "completed"


async def test_a_large_body_passes_in_pieces(upstream, tap, post, answer):
    up = await upstream(give_json)
    gate = await tap(up.url, parse_max_bytes=65_536)
    reader, writer = await gate.connect()
    for chunked in (False, True):
        body = bytes(range(256)) * 8192
        writer.write(post(body, chunked=chunked, headers="x-api-key: sk-1234567890\r\n"))
        status, _, _ = await answer(reader)
        assert status == 200
        assert up.calls[-1].body == body
        assert up.calls[-1].header("transfer-encoding") == ("chunked" if chunked else None)
        completion = await gate.completion(1 + chunked)
        assert completion.request_sha256 == hashlib.sha256(body).hexdigest()
        parts = [event for event in gate.events() if event.kind == "prompt"]
        assert b"".join(event.body for event in parts[1:]) == body
        assert gate.head().model == ""


async def test_a_large_body_over_the_bound_is_refused(upstream, tap, post, answer):
    up = await upstream(give_json)
    gate = await tap(up.url, parse_max_bytes=1024, body_max_bytes=100_000)
    for chunked in (False, True):
        reader, writer = await gate.connect()
        writer.write(post(b"x" * 300_000, chunked=chunked))
        status, headers, _ = await answer(reader)
        assert (status, headers["connection"]) == (413, "close")
    completion = await gate.completion(2)
    assert completion.outcome == "tap_error"


async def test_memory_stays_flat_while_a_large_body_passes(upstream, tap, answer):
    size = 50_000_000
    taken = 0

    async def swallow(reader, writer):
        nonlocal taken
        await reader.readuntil(b"\r\n\r\n")
        while taken < size:
            taken += len(await reader.read(65_536))
        writer.write(JSON_HEAD % len(JSON) + JSON)
        await writer.drain()
        writer.close()

    up = await upstream(give_json)
    up.take = swallow
    gate = await tap(up.url)
    gate.publisher.publish = lambda *_: True
    reader, writer = await gate.connect()
    writer.write(b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size)
    before_bytes = peak_bytes = rss_bytes()
    for _ in range(size // 100_000):
        writer.write(bytes(100_000))
        await writer.drain()
        peak_bytes = max(peak_bytes, rss_bytes())
    assert (await answer(reader))[0] == 200
    assert taken == size
    assert peak_bytes - before_bytes < 20_000_000


async def test_a_credential_in_a_body_is_masked_in_the_trail_alone(upstream, tap, post, answer):
    secret = "sk-live-0123456789abcdef"

    async def echo(call, reader, writer):
        body = b'{"echo":"%b"}' % secret.encode()
        writer.write(JSON_HEAD % len(body) + body[:15])
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(body[15:])

    up = await upstream(echo)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    body = b'{"leak":"%b"}' % secret.encode()
    writer.write(
        post(body, path=f"/v1/x?key={secret}", headers=f"authorization: Bearer {secret}\r\ncookie: a={secret}\r\n")
    )
    assert secret.encode() in (await answer(reader))[2]
    assert up.calls[0].body == body
    assert secret in up.calls[0].line
    await gate.completion()
    events = gate.events()
    assert secret.encode() not in b"".join(event.body for event in events)
    assert sum(len(event.body) for event in events if event.part) == len(body)
    assert [event.redacted for event in events if event.part] == ["9-33"]


async def test_a_slow_client_stops_the_reading_of_the_upstream(upstream, tap, post):
    sent = 0

    async def flood(call, reader, writer):
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 500000000\r\n\r\n")
        while True:
            writer.write(bytes(65_536))
            await writer.drain()
            sent += 65_536

    gate = await tap((await upstream(flood)).url)
    gate.publisher.publish = lambda *_: True
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    last = -1
    while sent != last:
        last = sent
        await asyncio.sleep(0.2)
    assert sent < 60_000_000
    await reader.readexactly(sent)
    assert sent > last
