"""Random headers through a real tap, both ways, against a model of what RFC 9110 (7.6.1) and DESIGN 6.6 ask."""

import asyncio
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.gateway_tap.headers import HOP
from penstock.wire.published import REQUEST_HEADERS, RESPONSE_HEADERS

NAMES: Final = st.sampled_from(
    [
        *("Connection", "Keep-Alive", "TE", "Trailer", "Proxy-Authorization", "Proxy-Connection", "Proxy-Authenticate"),
        *("HTTP2-Settings", "X-Penstock-Team", "x-penstock-anything", "X-One", "x-one", "X-Two", "Authorization"),
        *("Content_Length", "Transfer_Encoding", "Cookie", "Set-Cookie", "User-Agent", "X-Request-Id", "Accept"),
        *("X-Forwarded-Host", "Forwarded", "Via", "Server", "X-Api-Key", "Date", "X-Stainless-Lang", "X-New-Secret"),
    ]
)
VALUES: Final = st.sampled_from(["a", "close", "x-one", "X-Two, te", "keep-alive, Authorization", "v1 b", "ü", "a\tb"])
HEADERS: Final = st.lists(st.tuples(NAMES, VALUES), max_size=12)
ENTIRE: Final = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def kept(headers, *, to_upstream):
    """The model: what goes on, in order."""
    named = {n.strip().lower() for k, v in headers if k.lower() == "connection" for n in v.split(",")}
    dropped = {name.decode() for name in HOP} | named
    found = [(k, v) for k, v in headers if k.lower() not in dropped]
    if to_upstream:
        return [(k, v) for k, v in found if not k.lower().startswith("x-penstock-")]
    return found


def lines(headers):
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")


async def exchange(gate, sent):
    """What the client gets: the pairs of the answer's head."""
    reader, writer = await gate.connect()
    writer.write(b"POST /v1/x HTTP/1.1\r\nHost: tap.example\r\n" + lines(sent) + b"Content-Length: 2\r\n\r\n{}")
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode("latin-1")
    assert head.startswith("HTTP/1.1 200")
    writer.close()
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[:-4].split("\r\n")[1:])]


async def test_hop_by_hop_fields_end_at_the_tap_and_only_listed_names_are_published(upstream, tap):
    answered = []

    async def script(call, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n" + lines(answered) + b"Content-Length: 2\r\n\r\n{}")

    up = await upstream(script)
    gate = await tap(up.url, trusted_callers=[])
    loop = asyncio.get_running_loop()

    async def judge(sent, given_back):
        answered[:] = given_back
        count = len(gate.completions())
        got = await exchange(gate, sent)
        completion = await gate.completion(count + 1)
        call = up.calls[-1]
        ours = ("host", "content-length", "traceparent", "tracestate")
        arrived = [pair for pair in call.headers if pair[0].lower() not in ours]
        assert arrived == [(k, v.strip()) for k, v in kept(sent, to_upstream=True)]
        assert call.header("host") == up.url.removeprefix("http://")
        assert call.header("content-length") == "2"
        own = ("x-penstock-exchange-id", "content-length", "transfer-encoding", "connection")
        assert [pair for pair in got if pair[0].lower() not in own] == kept(given_back, to_upstream=False)
        ids = [value for name, value in got if name.lower() == "x-penstock-exchange-id"]
        assert ids == [gate.ids()[-1]]
        assert set(gate.head().headers) <= REQUEST_HEADERS
        assert set(completion.headers) <= RESPONSE_HEADERS
        assert gate.head().identity.team == ""

    @ENTIRE
    @given(HEADERS, HEADERS)
    def run(sent, given_back):
        asyncio.run_coroutine_threadsafe(judge(sent, given_back), loop).result(20)

    await asyncio.to_thread(run)
