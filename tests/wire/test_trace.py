"""W3C Trace Context: what is continued, what is begun anew, and what the upstream is told."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.wire.trace import STATE_MAX_BYTES, passed_on, trace_of

FRESH = ("f" * 32, "e" * 16)
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FORMAT = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]")

hex_ids = st.integers(1, 2**128 - 1).map(lambda number: f"{number:032x}")
spans = st.integers(1, 2**64 - 1).map(lambda number: f"{number:016x}")
flags = st.integers(0, 255).map(lambda number: f"{number:02x}")


@given(hex_ids, spans, flags)
def test_a_valid_parent_is_continued(trace_id: str, span: str, given_flags: str) -> None:
    trace = trace_of(f"00-{trace_id}-{span}-{given_flags}".encode(), FRESH)
    assert (trace.trace_id, trace.parent, trace.span) == (trace_id, span, FRESH[1])
    assert int(trace.flags, 16) == int(given_flags, 16) & 3
    assert FORMAT.fullmatch(trace.header)
    assert trace_of(trace.header, ("0", "1" * 16)).parent == FRESH[1]


@pytest.mark.parametrize(
    "parent",
    [
        "",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01more",
    ],
)
def test_any_other_parent_begins_a_trace(parent: str) -> None:
    trace = trace_of(parent.encode(), FRESH)
    assert (trace.trace_id, trace.parent, trace.span, trace.flags) == (FRESH[0], "", FRESH[1], "01")


@given(st.binary(max_size=80))
def test_no_bytes_break_it(parent: bytes) -> None:
    assert FORMAT.fullmatch(trace_of(parent, FRESH).header)


@pytest.mark.parametrize("version", ["01", "cc", "fe"])
@pytest.mark.parametrize("more", ["", "-what-the-future-will-be-like"])
def test_a_later_version_is_read_as_far_as_it_is_known(version: str, more: str) -> None:
    trace = trace_of(f"{version}-{TRACE}-{SPAN}-01{more}".encode(), FRESH)
    assert (trace.trace_id, trace.parent) == (TRACE, SPAN)
    assert trace.header.startswith(b"00-")


names = st.sampled_from([b"accept", b"traceparent", b"TraceParent", b"tracestate", b"Tracestate", b"x-other-field"])


@given(st.lists(st.tuples(names, st.binary(max_size=30)), max_size=8), st.booleans())
def test_everything_else_is_passed_on_as_it_came(headers: list[tuple[bytes, bytes]], goes_on: bool) -> None:
    trace = trace_of(f"00-{TRACE}-{SPAN}-00".encode() if goes_on else b"", FRESH)
    ours = {b"traceparent"} if goes_on else {b"traceparent", b"tracestate"}
    kept = [pair for pair in headers if pair[0].lower() not in ours]
    assert passed_on(headers, trace) == [*kept, (b"traceparent", trace.header)]


def test_a_tracestate_beyond_all_bounds_ends_here() -> None:
    trace = trace_of(f"00-{TRACE}-{SPAN}-01".encode(), FRESH)
    half = (b"tracestate", b"a=" + b"b" * (STATE_MAX_BYTES // 2 - 2))
    assert passed_on([half, half], trace)[:2] == [half, half]
    assert passed_on([half, half, (b"tracestate", b"c=d")], trace) == [(b"traceparent", trace.header)]
