"""Trace context on its way through the tap, on real sockets."""

import pytest

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


async def give(call, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")


async def test_a_trace_goes_on_with_our_span_as_parent(upstream, tap, post, answer):
    server = await upstream(give)
    gate = await tap(server.url)
    reader, writer = await gate.connect()
    sent = f"traceparent: 00-{TRACE}-{SPAN}-01\r\ntracestate: a=1,b@c=2\r\nTracestate: d=3\r\n"
    writer.write(post(b"{}", headers=sent) * 2)
    for _ in range(2):
        await answer(reader)
    heads = [gate.head(exchange) for exchange in gate.ids()]
    for call, head in zip(server.calls, heads, strict=True):
        assert (head.trace_id, head.parent_span_id) == (TRACE, SPAN)
        assert call.header("traceparent") == f"00-{TRACE}-{head.span_id}-01"
        assert [value for name, value in call.headers if name.lower() == "tracestate"] == ["a=1,b@c=2", "d=3"]
    assert heads[0].span_id != heads[1].span_id


@pytest.mark.parametrize(
    "sent",
    [
        "tracestate: a=1\r\n",
        f"traceparent: 00-{TRACE}-{SPAN}-xx\r\ntracestate: a=1\r\n",
        f"traceparent: 00-{TRACE}-{SPAN}-01\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n",
    ],
)
async def test_a_trace_begins_here_where_none_can_be_continued(upstream, tap, post, answer, sent):
    server = await upstream(give)
    gate = await tap(server.url)
    reader, writer = await gate.connect()
    writer.write(post(b"{}", headers=sent))
    await answer(reader)
    (call,), head = server.calls, gate.head()
    assert head.trace_id not in ("", TRACE)
    assert head.parent_span_id == ""
    assert [value for name, value in call.headers if name == "traceparent"] == [f"00-{head.trace_id}-{head.span_id}-01"]
    assert call.header("tracestate") is None
