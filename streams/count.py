"""Pure: the state of one exchange, fed with its traffic events.

Feeding an event again changes nothing, so a frame that is read twice, or a whole partition that is read again from an
earlier offset, gives the same state.
"""

from dataclasses import dataclass, replace
from typing import Final

import orjson

from penstock.schemas.attribution import TokenCount
from penstock.schemas.errors import EventError
from penstock.schemas.events import Completion, Identity, PromptHead
from penstock.schemas.frames import PART_MAX_BYTES, Event
from penstock.schemas.records import read_value
from penstock.wire.decode import decoded
from penstock.wire.prompt import count_prompt
from penstock.wire.request import UNCHARGED, RequestInfo, read_request

from .reply import Reply, rough_tokens

_NO_PROMPT: Final = TokenCount(tokens=0, source="none")


@dataclass(frozen=True, slots=True)
class Birth:
    """Where and when an exchange began: its tap and that tap's epoch, the offset of its first frame, and that frame's
    append time. `start` -1: further back than was read again."""

    tap: str
    epoch: int
    start: int
    started_at_us: int


class Exchange:
    """One exchange. `named`: a model that its request does not name.
    `prefix_unseen`: its beginning was never read here; `holes`: events between are missing."""

    def __init__(self, exchange_id: str, birth: Birth, body_max_bytes: int, *, prefix_unseen: bool = False) -> None:
        self.id = exchange_id
        self.birth = birth
        self.subject = ""
        self.prefix_unseen = prefix_unseen
        self.holes = prefix_unseen
        self.head: PromptHead | None = None
        self.request = RequestInfo(api="opaque")
        self.input: TokenCount | None = _NO_PROMPT if prefix_unseen else None
        self.request_bytes = 0
        self.reply: Reply | None = None
        self.chunk_count = 0
        self.named = ""
        self.completion: Completion | None = None
        self.last_seq = -1
        self.last_time_us = birth.started_at_us
        self.abandoned = False
        self._body: list[bytes] = []
        self._tried_bytes = 0
        self._max_bytes = body_max_bytes

    @property
    def identity(self) -> Identity:
        """Who is charged."""
        return self.head.identity if self.head else Identity(key_id=self.subject.removeprefix("key:") or "anonymous")

    @property
    def model(self) -> str:
        """The model asked for."""
        return self.request.model or (self.head.model if self.head else "") or self.named

    @property
    def response_id(self) -> str:
        """The provider's id of the response: the one asked for, or the one that was made."""
        return self.request.of_response or (self.reply.reader.response_id if self.reply else "")

    @property
    def background(self) -> bool:
        """The response goes on without this exchange, and others may report it too. Only such ones are streamed to a
        request that fetches."""
        asked = self.request.background or bool(self.request.of_response and self.request.stream)
        return asked or (self.reply is not None and self.reply.reader.background)

    @property
    def output_tokens(self) -> int:
        return self.reply.tokens if self.reply else 0

    @property
    def delivered_tokens(self) -> int:
        return self.reply.delivered_tokens if self.reply else 0

    def feed(self, event: Event) -> bool:
        """Takes in the next event; False where it was taken in before. EventError where its JSON cannot be read: the
        exchange then goes on without it, and a completion that cannot be read ends it as `tap_error`."""
        if event.seq <= self.last_seq:
            return False
        self.holes = self.holes or event.seq != self.last_seq + 1
        self.last_time_us = event.time_us
        self.last_seq = event.seq
        self.subject = event.subject
        if event.kind == "prompt":
            self._prompt(event)
        elif event.kind == "chunk":
            self._chunk(event)
        elif event.kind == "completion":
            self._end(event)
        return True

    def _prompt(self, event: Event) -> None:
        if event.part == 0:
            head = self.head = read_value(PromptHead, event.body)
            asked = read_request(head.dialect, head.method, head.path, None)
            self.request = replace(asked, api=head.api, model=head.model, stream=head.stream)
            return
        body = event.body
        self.request_bytes += len(body)
        if self.request_bytes > self._max_bytes:
            self._body.clear()
        else:
            self._body.append(body)
        if len(body) < PART_MAX_BYTES and self.input is None and self._is_whole():
            self._count_prompt()

    @property
    def _coding(self) -> str:
        """The Content-Encoding of the request's body."""
        return self.head.headers.get("content-encoding", "") if self.head else ""

    def _is_whole(self) -> bool:
        """Whether the parts so far are a whole JSON text: a body that passes through the tap comes in pieces.

        Tried only where there is twice as much as at the last try, so that pieces that all look like an end cost no
        more than one reading of the whole; the prompt is counted when the answer begins at the latest.
        """
        if not self._body or not self._body[-1].rstrip().endswith((b"}", b"]")):
            return False
        if self.request_bytes < 2 * self._tried_bytes:
            return False
        self._tried_bytes = self.request_bytes
        try:
            orjson.loads(b"".join(self._body))
        except orjson.JSONDecodeError:
            return False
        return True

    def _count_prompt(self) -> None:
        head, coding = self.head, self._coding
        body = decoded(b"".join(self._body), coding, self._max_bytes) or b""
        self._body.clear()
        if head is not None and body:
            found = read_request(head.dialect, head.method, head.path, body)
            self.request = found if found.api == head.api else self.request
        if not self.request_bytes or self.request.api in UNCHARGED:
            self.input = _NO_PROMPT
        elif self.holes or not body:
            rough = rough_tokens(self.request_bytes)
            self.input = TokenCount(tokens=rough, source="estimated", method="bytes/4")
        else:
            self.input = count_prompt(self.request.api, self.model, body)

    def _chunk(self, event: Event) -> None:
        if self.input is None:
            self._count_prompt()
        self.chunk_count += 1
        if self.reply is None:
            self.reply = Reply(
                self.request.api,
                self.model,
                self._max_bytes,
                guess=self.prefix_unseen,
                reports=self.request.reports,
            )
        self.reply.feed(event)

    def _end(self, event: Event) -> None:
        try:
            completion = read_value(Completion, event.body)
        except EventError:
            self.abandon("what the tap said of its end cannot be read")
            raise
        self._complete(completion.model_copy(update=self._figures()) if completion.recovered else completion)

    def _complete(self, completion: Completion) -> None:
        self.completion = completion
        if self.input is None:
            self._count_prompt()
        if self.reply is not None:
            self.reply.close(completion.content_encoding)

    def _figures(self) -> dict[str, int]:
        """What was seen here, for an end of which the tap could not say."""
        return {
            "chunk_count": self.chunk_count,
            "request_bytes": self.request_bytes,
            "response_bytes": self.reply.upstream_bytes if self.reply else 0,
        }

    def abandon(self, reason: str) -> None:
        """Nothing more will come, for this `reason`: ends the exchange as `tap_error`, as far as it got."""
        self.abandoned = True
        self._complete(
            Completion(
                outcome="tap_error",
                status=0,
                reason=reason,
                **self._figures(),
                started_at_us=self.birth.started_at_us,
                ended_at_us=max(self.last_time_us, self.birth.started_at_us),
                duration_us=max(self.last_time_us - self.birth.started_at_us, 0),
            )
        )
