"""Whatever a client writes, the connection goes to the configured address, with a Host of ours; no answer of an
upstream sends the tap elsewhere."""

import asyncio

import pytest

META = "169.254.169.254"
REFUSED = [
    "http://169.254.169.254/latest/meta-data/",
    "http://user:pass@169.254.169.254/latest/",
    "http://[fd00:ec2::254]/latest/",
    "//169.254.169.254/latest/",
    "///v1/models",
    "/\\169.254.169.254/v1/models",
    "\\\\169.254.169.254\\v1",
    "/v1/../../latest/meta-data",
    "/v1/%2e%2e/%2E%2e/latest",
    "/v1/.%2e/x",
    "/v1/..%2fx",
    "/v1/..\\x",
    "/openai/..",
    "/openai/../other/v1/models",
    "http:/169.254.169.254/v1/models",
    "http:169.254.169.254",
    "ftp://169.254.169.254/v1/models",
    "gopher://169.254.169.254/v1/models",
    "file:///etc/passwd",
    "169.254.169.254:80",
    "http://169.254.169.254#@openai/v1/models",
    "*",
    "/v1\x7f/models",
]
SERVED = {
    "http://169.254.169.254/v1/models": "/v1/models",
    "HTTPS://user:pass@169.254.169.254:80/v1/models": "/v1/models",
    "/v1/models?url=http://169.254.169.254/": "/v1/models?url=http://169.254.169.254/",
    "/v1/models@169.254.169.254": "/v1/models@169.254.169.254",
    "/v1/x%0d%0aHost:%20169.254.169.254": "/v1/x%0d%0aHost:%20169.254.169.254",
    "/v1//169.254.169.254/": "/v1//169.254.169.254/",
    "/openai//169.254.169.254/": "//169.254.169.254/",
}
TRICKS = (
    "x-forwarded-host: 169.254.169.254\r\nx-forwarded-proto: gopher\r\nforwarded: host=169.254.169.254\r\n"
    "x-host: 169.254.169.254\r\nx-original-url: http://169.254.169.254/\r\nx-rewrite-url: /latest\r\n"
)


async def fine(call, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


async def ask(gate, answer, target, host=META):
    reader, writer = await gate.connect()
    writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{TRICKS}\r\n".encode("latin-1"))
    return await answer(reader)


@pytest.mark.parametrize("target", REFUSED)
async def test_a_target_that_leads_elsewhere_is_refused(upstream, tap, answer, target):
    up = await upstream(fine)
    gate = await tap(up.url)
    status, headers, body = await ask(gate, answer, target)
    assert status in (400, 404)
    assert headers["x-penstock-exchange-id"] == gate.ids()[0]
    assert META.encode() not in body
    assert up.connections == 0


@pytest.mark.parametrize("target", SERVED)
async def test_the_rest_goes_to_the_configured_address_under_its_own_host(upstream, tap, answer, target):
    up = await upstream(fine)
    gate = await tap(up.url)
    assert (await ask(gate, answer, target))[0] == 200
    (call,) = up.calls
    assert call.line == f"GET {SERVED[target]} HTTP/1.1"
    assert [value for name, value in call.headers if name.lower() == "host"] == [up.url.removeprefix("http://")]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_passed_on_and_never_followed(upstream, tap, post, answer, status):
    place = f"http://{META}/latest/meta-data/"

    async def redirect(call, reader, writer):
        head = (
            f"HTTP/1.1 {status} Elsewhere\r\nLocation: {place}\r\nRefresh: 0; url={place}\r\nContent-Length: 0\r\n\r\n"
        )
        writer.write(head.encode())

    up = await upstream(redirect)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    got, headers, _ = await answer(reader)
    assert (got, headers["location"]) == (status, place)
    await gate.completion()
    assert len(up.calls) == up.connections == 1


LENGTH = b"Content-Length: 2\r\n"
SPLIT = {
    "bare LF in a value": LENGTH + b"X-A: b\nSet-Cookie: c=d\r\n",
    "bare CR in a value": LENGTH + b"X-A: b\rSet-Cookie: c=d\r\n",
    "NUL in a value": LENGTH + b"X-A: b\x00c\r\n",
    "a folded value": LENGTH + b"X-A: b\r\n Set-Cookie: c=d\r\n",
    "a space before the colon": LENGTH + b"X-A : b\r\n",
    "a name with a space": LENGTH + b"X A: b\r\n",
    "two lengths": LENGTH + b"Content-Length: 5\r\n",
    "coding and length": LENGTH + b"Transfer-Encoding: chunked\r\n",
    "a signed length": b"Content-Length: +2\r\n",
    "a coding that is unknown": b"Transfer-Encoding: gzip, chunked\r\n",
    "a length of 6000 digits": b"Content-Length: " + b"0" * 6000 + b"2\r\n",
}


@pytest.mark.parametrize("name", SPLIT)
async def test_an_answer_of_doubtful_framing_is_a_502(upstream, tap, post, answer, name):
    async def script(call, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n" + SPLIT[name] + b"\r\n{}")

    gate = await tap((await upstream(script)).url)
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    status, headers, body = await answer(reader)
    assert status == 502
    assert headers["x-penstock-exchange-id"] == gate.ids()[0]
    assert b"c=d" not in body
    assert "set-cookie" not in headers


@pytest.mark.parametrize("behind", [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", b"\r\n", b"x"])
async def test_what_stands_behind_an_answer_is_no_answer_to_the_next_request(upstream, tap, post, answer, behind):
    async def script(call, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" + behind)

    up = await upstream(script)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    for _ in range(2):
        writer.write(post(b"{}"))
        assert (await answer(reader))[2] == b"{}"
    assert len(up.calls) == 2
    assert up.connections == 2 or behind == b"\r\n"


async def test_a_late_answer_is_no_answer_to_the_next_request(upstream, tap, post, answer):
    """Bytes that come while a connection waits in the pool close it."""

    async def script(call, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")

    up = await upstream(script)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    assert (await answer(reader))[2] == b"{}"
    await asyncio.sleep(0.1)
    writer.write(post(b"{}"))
    assert (await answer(reader))[2] == b"{}"
    assert up.connections == 2


@pytest.mark.parametrize(
    ("reason", "shown"), [(b"O\x0bK", "OK"), (b"O\x00K", "OK"), (b"Fine \xfc", "Fine \xfc"), (b"O\x7fK", "OK")]
)
async def test_a_reason_that_is_no_text_is_replaced(upstream, tap, post, reason, shown):
    async def script(call, reader, writer):
        writer.write(b"HTTP/1.1 200 %b\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 more\r\n\r\n" % reason)

    gate = await tap((await upstream(script)).url)
    reader, writer = await gate.connect()
    writer.write(post(b"{}"))
    assert await reader.readline() == f"HTTP/1.1 200 {shown}\r\n".encode("latin-1")
