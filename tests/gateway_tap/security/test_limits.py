"""Answers of every kind carry the exchange's id; nothing that is deep, long or swollen brings the tap down."""

import asyncio
import gzip
import json

import pytest

HOST = b"Host: x\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST
DEPTHS = (200, 995, 1030, 200_000)


async def fine(call, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


async def hang_up(call, reader, writer):
    writer.close()


async def nonsense(call, reader, writer):
    writer.write(b"no HTTP at all\r\n\r\n")


ANSWERS = {
    "200": (200, fine, {}, POST + b"Content-Length: 2\r\n\r\n{}"),
    "400": (400, fine, {}, b"nonsense\r\n\r\n"),
    "404": (404, fine, {}, b"GET /none HTTP/1.1\r\n" + HOST + b"\r\n"),
    "408": (408, fine, {"timeouts": {"client_header_s": 0.1}}, POST),
    "413": (413, fine, {}, POST + b"Content-Length: 99999999999\r\n\r\n"),
    "414": (414, fine, {}, b"GET /v1/" + b"a" * 60_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "417": (417, fine, {}, POST + b"Expect: x\r\nContent-Length: 2\r\n\r\n{}"),
    "431": (431, fine, {}, POST + b"X: a\r\n" * 5000 + b"\r\n"),
    "501": (501, fine, {}, b"CONNECT x:1 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "502": (502, nonsense, {}, POST + b"Content-Length: 2\r\n\r\n{}"),
    "502, closed": (502, hang_up, {}, POST + b"Content-Length: 2\r\n\r\n{}"),
    "503": (503, fine, {"max_connections": 1}, POST + b"Content-Length: 2\r\n\r\n{}"),
    "505": (505, fine, {}, b"GET / HTTP/2.0\r\n" + HOST + b"\r\n"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_every_answer_carries_the_id_of_its_exchange(upstream, tap, answer, name):
    status, script, options, data = ANSWERS[name]
    gate = await tap((await upstream(script)).url, **options)
    if status == 503:
        await gate.connect()
        await asyncio.sleep(0.02)
    reader, writer = await gate.connect()
    writer.write(data)
    got, headers, _ = await answer(reader)
    assert got == status
    assert headers["x-penstock-exchange-id"] == gate.ids()[-1]


def nested(depth):
    deep = "[" * depth + "]" * depth
    objects = '{"a":' * depth + "1" + "}" * depth
    return [
        deep,
        objects,
        f'{{"model":"m","stream":true,"messages":[{{"role":"user","content":{deep}}}]}}',
        f'{{"model":"m","messages":[],"tools":{objects},"input":{deep}}}',
    ]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings"])
@pytest.mark.parametrize("depth", DEPTHS)
async def test_nested_json_passes_both_ways(upstream, tap, post, answer, path, depth):
    async def echo(call, reader, writer):
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(call.body)
        )
        writer.write(call.body)

    gate = await tap((await upstream(echo)).url)
    reader, writer = await gate.connect()
    for number, text in enumerate(nested(depth), 1):
        writer.write(post(text.encode(), path))
        assert (await answer(reader))[2] == text.encode()
        assert (await gate.completion(number)).outcome == "completed"


@pytest.mark.parametrize("depth", DEPTHS)
async def test_nested_events_of_a_stream_pass(upstream, tap, post, answer, depth):
    events = b"".join(b"data: " + text.encode() + b"\n\n" for text in nested(depth))

    async def script(call, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + events)
        writer.close()

    gate = await tap((await upstream(script)).url)
    reader, writer = await gate.connect()
    writer.write(post(b'{"model":"m","stream":true,"messages":[]}'))
    assert (await answer(reader))[2] == events
    assert (await gate.completion()).outcome == "completed"


async def test_an_endless_line_of_a_stream_is_not_gathered(upstream, tap, post, answer):
    """20 MB without an end of line: given as they come, published in pieces."""
    piece, count = b"a" * 65536, 320

    async def script(call, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: ")
        for _ in range(count):
            writer.write(piece)
            await writer.drain()
        writer.close()

    gate = await tap((await upstream(script)).url)
    reader, writer = await gate.connect()
    writer.write(post(b'{"model":"m","stream":true,"messages":[]}'))
    assert len((await answer(reader))[2]) == count * len(piece) + 6
    await gate.completion()
    assert max(len(event.body) for event in gate.events()) <= 1_000_000
    assert sum(len(event.body) for event in gate.events() if event.type == "penstock.chunk.v1") == count * 65536 + 6


@pytest.mark.parametrize("upwards", [True, False])
async def test_a_bomb_passes_as_it_is(upstream, tap, post, answer, upwards):
    bomb = gzip.compress(gzip.compress(bytes(200_000_000), 1), 9)

    async def script(call, reader, writer):
        body = b"{}" if upwards else bomb
        coding = b"identity" if upwards else b"gzip, gzip"
        head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: %b\r\ncontent-length: %d\r\n\r\n"
        )
        writer.write(head % (coding, len(body)) + body)

    up = await upstream(script)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write(post(bomb if upwards else b"{}", headers="content-encoding: gzip, gzip\r\n" if upwards else ""))
    status, _, body = await answer(reader)
    assert (status, body) == (200, b"{}" if upwards else bomb)
    assert up.calls[0].body == (bomb if upwards else b"{}")
    assert json.loads(gate.events()[-1].body)["outcome"] == "completed"


async def test_no_part_of_a_request_shows_when_what_holds_it_is_printed(upstream, tap, post, answer):
    seen = []

    async def script(call, reader, writer):
        (relay,) = gate.core.running.values()
        seen.extend([repr(relay), repr(relay._opened), repr(relay._request), repr(relay._upload), repr(gate.core)])
        await fine(call, reader, writer)

    gate = await tap((await upstream(script)).url)
    reader, writer = await gate.connect()
    secret = "canary-0123456789"
    writer.write(post(secret.encode(), f"/v1/x?key={secret}", f"authorization: Bearer {secret}\r\nx-a: {secret}\r\n"))
    assert (await answer(reader))[0] == 200
    assert len(seen) == 5
    assert not [text for text in seen if secret in text]
