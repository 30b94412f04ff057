"""The place of an exchange in a distributed trace: W3C Trace Context (https://www.w3.org/TR/trace-context/), pure.

A valid `traceparent` is continued: same trace, our own span as the upstream's parent. One that is absent, repeated or
invalid starts a new trace, and its `tracestate` ends here (3.4, 4.3).
"""

import re
from typing import Final, NamedTuple

STATE_MAX_BYTES: Final = 4_096
"""A longer tracestate is not passed on: 512 characters are all that anybody promises to carry (3.3.1.5)."""
SAMPLED: Final = "01"
_KNOWN_FLAGS: Final = 0x03
"""`sampled` and, of the next level, `random`; all others are to be set to zero (3.2.2.5)."""
_PARENT: Final = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

PARENT_NAME: Final = b"traceparent"
STATE_NAME: Final = b"tracestate"


class Trace(NamedTuple):
    """One exchange in its trace. `parent` is the caller's span, empty where the trace begins here; `span` is ours."""

    trace_id: str
    parent: str
    span: str
    flags: str

    @property
    def header(self) -> bytes:
        """What the upstream is told."""
        return f"00-{self.trace_id}-{self.span}-{self.flags}".encode()


def trace_of(incoming: bytes, fresh: tuple[str, str]) -> Trace:
    """The trace of a request with this `traceparent` (empty: it had none, or more than one). `fresh`: a new trace id
    and a new span id. A new trace is `sampled`, since each exchange is recorded."""
    found = _PARENT.fullmatch(incoming.strip(b" \t")) if incoming else None
    if found is None or (found[1] == b"00" and found[5] is not None):
        return Trace(fresh[0], "", fresh[1], SAMPLED)
    flags = int(found[4], 16) & _KNOWN_FLAGS
    return Trace(found[2].decode(), found[3].decode(), fresh[1], f"{flags:02x}")


def passed_on(headers: list[tuple[bytes, bytes]], trace: Trace) -> list[tuple[bytes, bytes]]:
    """`headers` as the upstream gets them: our `traceparent`, and the caller's `tracestate` as it came where its trace
    goes on and the state is of bearable size."""
    state_bytes = -1
    kept = []
    for name, value in headers:
        if len(name) in (10, 11):
            lower = name.lower()
            if lower == PARENT_NAME:
                continue
            if lower == STATE_NAME:
                state_bytes = max(state_bytes, 0) + len(value)
        kept.append((name, value))
    if state_bytes >= 0 and (not trace.parent or state_bytes > STATE_MAX_BYTES):
        kept = [pair for pair in kept if pair[0].lower() != STATE_NAME]
    kept.append((PARENT_NAME, trace.header))
    return kept
