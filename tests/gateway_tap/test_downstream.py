"""What a client may send, and what it gets for anything else."""

import asyncio

import pytest

HOST = b"Host: x\r\n"
CHUNKED = b"POST /v1/x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
POST = b"POST /v1/x HTTP/1.1\r\n" + HOST

HOSTILE = {
    "length and coding": (400, POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "two lengths": (400, POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
    "two different lengths": (400, POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    "list of lengths": (400, POST + b"Content-Length: 3, 3\r\n\r\nabc"),
    "signed length": (400, POST + b"Content-Length: +3\r\n\r\nabc"),
    "hex length": (400, POST + b"Content-Length: 0x3\r\n\r\nabc"),
    "underscore length": (400, POST + b"Content-Length: 1_0\r\n\r\nabc"),
    "negative length": (400, POST + b"Content-Length: -3\r\n\r\nabc"),
    "space before the colon": (400, POST + b"Content-Length : 3\r\n\r\nabc"),
    "xchunked": (400, POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "chunked twice": (400, POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "chunked not last": (400, POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    "another coding": (400, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "vertical tab": (400, POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n"),
    "folded header": (400, POST + b"X: a\r\n b\r\n\r\n"),
    "bare LF": (400, b"GET / HTTP/1.1\nHost: x\n\n"),
    "bare LF in the head": (400, b"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n"),
    "bare CR": (400, b"GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n"),
    "NUL": (400, POST + b"X: a\x00b\r\n\r\n"),
    "chunk size 0x": (400, CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n"),
    "chunk size +": (400, CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n"),
    "LF in a chunk extension": (400, CHUNKED + b"3;a\nabc\r\n0\r\n\r\n"),
    "no CRLF behind a chunk": (400, CHUNKED + b"3\r\nabc0\r\n\r\n"),
    "LF behind chunks": (400, CHUNKED + b"3\nabc\n0\n\n"),
    "coding in HTTP/1.0": (400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n"),
    "lower-case method": (400, b"get / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "HTTP/1.9": (400, b"GET / HTTP/1.9\r\n" + HOST + b"\r\n"),
    "HTTP/2.0": (505, b"GET / HTTP/2.0\r\n" + HOST + b"\r\n"),
    "HTTP/2 preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "length in a trailer": (400, CHUNKED + b"0\r\nContent-Length: 3\r\n\r\n"),
    "large header": (431, POST + b"X: " + b"a" * 80_000 + b"\r\n\r\n"),
    "many headers": (431, POST + b"X: aaaaaaaaaaa\r\n" * 5000 + b"\r\n"),
    "long path": (414, b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "TLS on a plain port": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "space in a name": (400, POST + b"X y: 1\r\n\r\n"),
    "control character in the path": (400, b"GET /a\x7fb HTTP/1.1\r\n" + HOST + b"\r\n"),
    "another expectation": (417, POST + b"Expect: tea\r\nContent-Length: 3\r\n\r\nabc"),
    "CONNECT": (501, b"CONNECT 169.254.169.254:80 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "WebSocket": (501, b"GET /v1/realtime HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
}


async def fine(call, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_is_no_plain_request_is_refused_and_recorded(upstream, tap, answer, name):
    status, data = HOSTILE[name]
    up = await upstream(fine)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write(data)
    got, headers, body = await answer(reader)
    assert (got, headers["connection"]) == (status, "close")
    assert b'"error"' in body
    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert up.calls == []
    completion = await gate.completion()
    assert (completion.outcome, completion.status) == ("tap_error", status)
    assert len(gate.ids()) == 1


async def test_the_client_hears_the_refusal_although_it_still_sends(upstream, tap, answer):
    gate = await tap((await upstream(fine)).url)
    reader, writer = await gate.connect()
    writer.write(POST + b"Content-Length: 900000000\r\n\r\n" + bytes(500_000))
    assert (await answer(reader))[0] == 413
    writer.write(bytes(100_000))
    assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_broken_request_waits_for_its_turn(upstream, tap, post, answer):
    gate = await tap((await upstream(fine)).url)
    reader, writer = await gate.connect()
    writer.write(post(b"{}") + b"nonsense\r\n\r\n")
    assert (await answer(reader))[0] == 200
    assert (await answer(reader))[0] == 400
    assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_head_that_does_not_arrive_is_a_408(upstream, tap, answer):
    gate = await tap((await upstream(fine)).url, timeouts={"client_header_s": 0.1})
    reader, writer = await gate.connect()
    writer.write(b"POST /v1/x HTTP/1.1\r\nhost: x\r\nx-slow: ")
    assert (await answer(reader))[0] == 408
    assert (await gate.completion()).reason == "the request did not arrive in time"


async def test_a_body_that_stops_is_a_408(upstream, tap, answer):
    gate = await tap((await upstream(fine)).url, timeouts={"client_body_idle_s": 0.1})
    reader, writer = await gate.connect()
    writer.write(POST + b"content-length: 10\r\n\r\nabc")
    assert (await answer(reader))[0] == 408


async def test_a_passing_body_that_stops_ends_the_exchange(upstream, tap):
    gate = await tap((await upstream(fine)).url, timeouts={"client_body_idle_s": 0.1}, parse_max_bytes=1024)
    _, writer = await gate.connect()
    writer.write(POST + b"content-length: 10000\r\n\r\n" + bytes(2000))
    completion = await gate.completion()
    assert (completion.outcome, completion.reason) == ("client_disconnected", "the client stopped sending")
    assert completion.request_bytes == 2000


async def test_a_connection_without_a_request_is_closed(upstream, tap):
    gate = await tap((await upstream(fine)).url, timeouts={"client_header_s": 0.1})
    reader, _ = await gate.connect()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await asyncio.wait_for(reader.readexactly(1), 5)
    assert gate.ids() == []


async def test_a_passing_body_that_turns_out_broken_ends_the_exchange(upstream, tap):
    gate = await tap((await upstream(fine)).url, parse_max_bytes=1024)
    _, writer = await gate.connect()
    writer.write(CHUNKED + b"%x\r\n%b\r\n" % (5000, bytes(5000)))
    await gate.first_event()
    writer.write(b"zz\r\n")
    completion = await gate.completion()
    assert completion.reason == "the request's body is malformed"


@pytest.mark.parametrize("limit", [1024, 1_000_000])
async def test_expect_continue_is_answered(upstream, tap, answer, limit):
    up = await upstream(fine)
    gate = await tap(up.url, parse_max_bytes=limit)
    reader, writer = await gate.connect()
    writer.write(POST + b"Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n")
    assert (await answer(reader))[0] == 100
    writer.write(bytes(5000))
    assert (await answer(reader))[0] == 200
    assert up.calls[0].body == bytes(5000)
    assert up.calls[0].header("expect") is None


@pytest.mark.parametrize("chunked", [True, False])
async def test_an_offer_of_http2_is_ignored(upstream, tap, post, answer, chunked):
    up = await upstream(fine)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    offer = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAA\r\n"
    data = post(b'{"model":"m"}', headers=offer, chunked=chunked)
    writer.write(data[:-9])
    await asyncio.sleep(0.02)
    writer.write(data[-9:])
    assert (await answer(reader))[0] == 200
    writer.write(post(b"{}"))
    assert (await answer(reader))[0] == 200
    assert [call.body for call in up.calls] == [b'{"model":"m"}', b"{}"]
    assert up.calls[0].header("upgrade") is up.calls[0].header("http2-settings") is None
    await gate.completion(2)
    assert gate.head(gate.ids()[0]).model == "m"


async def test_trailers_are_dropped(upstream, tap, answer):
    up = await upstream(fine)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write(CHUNKED + b"3\r\nabc\r\n0\r\nx-trailer: 1\r\n\r\n")
    assert (await answer(reader))[0] == 200
    assert up.calls[0].body == b"abc"
    assert up.calls[0].header("x-trailer") is None


async def test_connection_close_is_kept(upstream, tap, post, answer):
    gate = await tap((await upstream(fine)).url)
    reader, writer = await gate.connect()
    writer.write(post(b"{}", headers="connection: close\r\n"))
    status, headers, _ = await answer(reader)
    assert (status, headers["connection"]) == (200, "close")
    assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_identity_headers_stay_here(upstream, tap, post, answer):
    up = await upstream(fine)
    gate = await tap(up.url, trusted_callers=["127.0.0.0/8"])
    reader, writer = await gate.connect()
    writer.write(post(b"{}", headers="x-penstock-team: research\r\nopenai-organization: o1\r\n"))
    await answer(reader)
    await gate.completion()
    assert up.calls[0].header("x-penstock-team") is None
    assert up.calls[0].header("openai-organization") == "o1"
    identity = gate.head().identity
    assert identity.team == "research"
    assert identity.claimed == {"team": "research", "openai-organization": "o1"}
