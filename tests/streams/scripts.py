"""Exchanges and frames for tests of the meter, encoded by the codec that the tap uses."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.schemas import frames
from penstock.schemas.events import AppliedOrder, Completion, Dialect, Identity, PromptHead, TapStarted
from penstock.schemas.ids import new_exchange_id, rfc3339
from penstock.schemas.policy import Limit
from penstock.streams.decisions import Rules
from penstock.streams.intake import TrafficFrame, read_traffic

T0_US = 1_795_500_000_000_000
SALT = base64.b64encode(bytes(16))
TAP = "tap-t"
WORD = " a"
PLACES: dict[str, tuple[str, Dialect]] = {
    "openai.chat": ("/v1/chat/completions", "openai"),
    "anthropic.messages": ("/v1/messages", "anthropic"),
    "anthropic.count_tokens": ("/v1/messages/count_tokens", "anthropic"),
    "gemini.generate": ("/v1beta/models/{model}:streamGenerateContent", "gemini"),
    "gemini.count_tokens": ("/v1beta/models/{model}:countTokens", "gemini"),
    "gemini.embed": ("/v1beta/models/{model}:batchEmbedContents", "gemini"),
}
"""Path and dialect of each api."""


def limit(**given: Any) -> Limit:
    """A limit; hard, on output tokens, in all, unless said otherwise."""
    return Limit.model_validate({"id": "l", "scope": "team:*", "unit": "output_tokens", "amount": 10, **given})


def rules(*limits: Limit, **given: Any) -> Rules:
    """What a meter is told."""
    return Rules(limits, given.get("version", "v1"), "meter:0", 1 << 20, given.get("rewind_max_bytes", 1 << 20))


class Talk:
    """One streamed chat exchange; every method gives the next encoded events. A word is one token of gpt-4o."""

    def __init__(
        self,
        team: str = "research",
        *,
        model: str = "gpt-4o",
        key: str = "k1",
        api: str = "openai.chat",
        path: str = "",
        method: str = "POST",
        stream: bool = True,
    ) -> None:
        self.id = new_exchange_id()
        self.seq = 0
        self.now_us = T0_US
        self.model = model
        self.api = api
        self.method = method
        self.stream = stream
        self.path = path
        self.identity = Identity(key_id=key, team=team, authenticated=True)
        self._writer = frames.EventWriter(self.id, f"/tap/{TAP}", f"key:{key}")

    def write(self, kind: str, body: bytes, *, origin: bytes = b"upstream", extra: bytes = b"") -> bytes:
        self.now_us += 1000
        event = self._writer.write(
            kind, self.seq, rfc3339(self.now_us).encode(), SALT, body, origin=origin, extra=extra
        )
        self.seq += 1
        return event

    def prompt(
        self, text: str = "hello", *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> list[bytes]:
        """The head and the one part of the request's body: `body`, or a chat that says `text`."""
        path, dialect = PLACES.get(self.api, PLACES["openai.chat"])
        head = PromptHead(
            method=self.method,
            path=self.path or path.format(model=self.model),
            upstream=dialect,
            dialect=dialect,
            api=self.api,
            model=self.model,
            stream=self.stream,
            identity=self.identity,
            tap=TAP,
            mode="enforce",
            audit="strict",
            headers=dict(headers or {}),
            trace_id="0af7651916cd43dd8448eb211c80319c",
            parent_span_id="b7ad6b7169203331",
            span_id="00f067aa0ba902b7",
        )
        chat = {"model": self.model, "stream": True, "messages": [{"role": "user", "content": text}]}
        return [
            self.write(frames.PROMPT, head.model_dump_json().encode(), origin=b"client"),
            self.write(frames.PROMPT, body or json.dumps(chat).encode(), origin=b"client", extra=b',"part":1'),
        ]

    def sse(self, content: dict[str, Any] | str, *, withheld: bool = False, name: str = "") -> bytes:
        """One SSE event of the upstream."""
        text = content if isinstance(content, str) else json.dumps(content)
        head = f"event: {name}\n" if name else ""
        extra = b',"withheld":true' if withheld else b""
        return self.write(frames.CHUNK, f"{head}data: {text}\n\n".encode(), extra=extra)

    def words(self, count: int, *, withheld: bool = False) -> bytes:
        """A delta of so many words."""
        delta = {"content": WORD * count}
        content = {
            "id": "r1",
            "object": "chat.completion.chunk",
            "model": self.model,
            "choices": [{"index": 0, "delta": delta}],
        }
        return self.sse(content, withheld=withheld)

    def end(self, outcome: str = "completed", **given: Any) -> bytes:
        """The completion."""
        fields: dict[str, Any] = {
            "outcome": outcome,
            "status": 200,
            "upstream_status": 200,
            "started_at_us": T0_US,
            "ended_at_us": self.now_us,
            **given,
        }
        completion = Completion.model_validate(fields)
        return self.write(frames.COMPLETION, completion.model_dump_json().encode(), origin=b"tap")


def tap_started(epoch: int, partition: int = 0) -> bytes:
    """The event by which a tap announces its epoch."""
    started = TapStarted(tap=TAP, epoch=epoch, version="t", started_at_us=T0_US)
    writer = frames.EventWriter("", f"/tap/{TAP}", f"tap:{TAP}")
    return writer.write(frames.TAP, 0, rfc3339(T0_US).encode(), SALT, started.model_dump_json().encode(), origin=b"tap")


def headers(epoch: int = 1, number: int = 0, *, replayed: bool = False) -> list[tuple[str, bytes]]:
    """The headers of a traffic record."""
    found = [
        (frames.HEADER_TAP, TAP.encode()),
        (frames.HEADER_EPOCH, str(epoch).encode()),
        (frames.HEADER_FRAME, str(number).encode()),
    ]
    return [*found, (frames.HEADER_REPLAYED, b"1")] if replayed else found


def frame(offset: int, events: Sequence[bytes], *, epoch: int = 1, replayed: bool = False) -> TrafficFrame:
    """The frame of `events` at `offset`, as the meter reads it; a second of append time per offset."""
    value = frames.write_frame(events)
    appended_ms = T0_US // 1000 + offset * 1000
    return read_traffic(0, offset, appended_ms, headers(epoch, offset, replayed=replayed), value)


def applied(
    allowed: int | None, *, crossed_at_us: int | None = T0_US, applied_at_us: int = T0_US + 7000
) -> AppliedOrder:
    """A kill as the tap reports it."""
    return AppliedOrder(
        order_id="o1",
        scope="team:research",
        limit_id="l",
        reason="limit l is used up",
        epoch=1,
        decided_at_us=T0_US + 3000,
        received_at_us=T0_US + 5000,
        applied_at_us=applied_at_us,
        crossed_at_us=crossed_at_us,
        allowed_output_tokens=allowed,
    )
