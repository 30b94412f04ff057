"""An exchange for people: its facts, and a line for each event with the text that it says. Pure."""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, get_args

import orjson

from penstock.schemas.events import Api
from penstock.wire.chunk import ChunkReader

from .check_content import Content
from .leaf import printable, text

PROMPT_CHARS: Final = 1500
_FACTS: Final = (
    *("started_at", "upstream", "api", "model", "status", "outcome", "reason", "finish_reason", "stream"),
    *("duration_ms", "ttft_ms", "chunk_count", "request_bytes", "response_bytes"),
    *("org", "team", "app", "user", "service_account", "key_id", "authenticated", "killed_by", "policy_version"),
    *("trace_id", "span_id", "parent_span_id"),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an exchange beside its events; each may be missing while it runs."""

    exchange: dict[str, Any]
    attribution: dict[str, Any]
    kills: list[dict[str, Any]]


def fact_lines(exchange_id: str, facts: Facts) -> Iterator[str]:
    """What happened, who it is charged to, and what it used."""
    yield f"exchange {exchange_id}"
    for name in _FACTS:
        value = facts.exchange.get(name)
        if value not in ("", None):
            yield f"  {name:<16} {_value(value)}"
    if not facts.exchange:
        yield "  it has not been settled yet: no facts are known"
    used = facts.attribution
    if used:
        yield f"  input_tokens     {used['input_tokens']} ({_source(used, 'input')})"
        yield f"  output_tokens    {used['output_tokens']} ({_source(used, 'output')})"
        for name in ("cached_tokens", "cache_write_tokens", "reasoning_tokens"):
            if used[name]:
                yield f"  {name:<16} {used[name]}"
        cost = used["cost_usd"]
        yield f"  cost_usd         {'unknown: no price is known for the model' if cost is None else cost}"
    for kill in facts.kills:
        cut = "" if kill["cut_ms"] is None else f", {kill['cut_ms']:.1f} ms after the crossing"
        over = f"{kill['overshoot_tokens']} tokens over"
        yield f"  killed           {printable(kill['scope'])}: {printable(kill['reason'])}{cut}; {over}"


def event_lines(events: Iterable[Content]) -> Iterator[str]:
    """One line per event: when, what, how many bytes, and what it says."""
    began: int | None = None
    reader: ChunkReader | None = None
    whole = bytearray()
    for event in events:
        began = event.occurred_at_us if began is None else began
        if event.kind == b"prompt" and event.part == 0:
            reader = ChunkReader(api_of(event.body))
        after_ms = (event.occurred_at_us - began) / 1000
        marks = " withheld" * event.withheld + " redacted" * bool(event.redacted)
        head = f"{after_ms:>10.1f} ms  {event.seq:>5} {_word(event.kind):<10} {_word(event.origin):<8}"
        yield f"{head} {len(event.body):>8} B{marks}  {_says(event, reader)}".rstrip()
        if event.kind == b"chunk" and not is_sse(event.body):
            whole += event.body
    if whole and reader is not None:
        reader.feed_body(bytes(whole))
        for channel, said in reader.new_text():
            yield f"  {channel}: {printable(said)}"


def event_json(event: Content) -> dict[str, Any]:
    """An event as JSON values: `data` if its bytes are text, else `data_base64`."""
    shown: dict[str, Any] = {
        "seq": event.seq,
        "kind": text(event.kind),
        "origin": text(event.origin),
        "part": event.part,
        "withheld": event.withheld,
        "redacted": text(event.redacted),
        "occurred_at_us": event.occurred_at_us,
    }
    try:
        shown["data"] = event.body.decode()
    except UnicodeDecodeError:
        shown["data_base64"] = base64.b64encode(event.body).decode()
    return shown


def api_of(head: bytes) -> Api:
    """Which API a prompt's head names; `opaque` where it names none that is known."""
    try:
        found = orjson.loads(head).get("api")
    except (orjson.JSONDecodeError, AttributeError):
        return "opaque"
    return found if found in get_args(Api) else "opaque"


def is_sse(body: bytes) -> bool:
    """Whether a chunk is an event of a stream."""
    return body.startswith((b"data:", b"event:", b":", b"id:", b"retry:"))


def _says(event: Content, reader: ChunkReader | None) -> str:
    if event.kind == b"chunk":
        if reader is None or not is_sse(event.body):
            return ""
        reader.feed_event(event.body)
        return " ".join(
            printable(said if channel.endswith("/content") else f"[{channel}] {said}")
            for channel, said in reader.new_text()
        )
    said = event.body.decode("utf-8", "replace")
    more = f" … {len(said) - PROMPT_CHARS} more" if len(said) > PROMPT_CHARS else ""
    return printable(said[:PROMPT_CHARS]) + more


def _word(stored: bytes) -> str:
    return printable(text(stored))


def _source(used: dict[str, Any], side: str) -> str:
    method = used[f"{side}_method"]
    return f"{used[f'{side}_source']}{', ' + method if method else ''}"


def _value(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return printable(str(value))
