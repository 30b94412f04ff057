"""Pure: follows the answer of one exchange: events or reads for the tape, figures for the completion, and the place
where a stream may be cut.

Upstream bytes are given to `answer` in the order in which they came; what the client got is the same bytes, until
`cut` or `made_here` part the two.
"""

import hashlib
from typing import Any

from penstock.schemas.events import Api
from penstock.schemas.frames import PART_MAX_BYTES
from penstock.wire.asked_usage import only_usage
from penstock.wire.decode import codings
from penstock.wire.ending import kill_element, kill_ending
from penstock.wire.json_array import ArraySplitter, between_elements
from penstock.wire.sse import EventSplitter, event_data

from .reply import ReplyReader
from .tape import Tape


class Capture:
    """The answer side of one exchange."""

    __slots__ = (
        "_api",
        "_array",
        "_client",
        "_client_bytes",
        "_digest",
        "_mid_event",
        "_reply",
        "_splitter",
        "_tape",
        "bytes",
        "withholding",
    )

    def __init__(
        self, tape: Tape, api: Api, *, sse: bool, encoding: bytes, array: bool = False, reports: bool = False
    ) -> None:
        self._tape = tape
        coding = encoding.decode("latin-1")
        plain = not codings(coding)
        if not plain:
            tape.encoded(coding)
        self._api, self._array = api, array
        self._reply = ReplyReader(api, sse, coding, array=array, reports=reports)
        self._splitter: EventSplitter | ArraySplitter | None = None
        if plain and (sse or array):
            self._splitter = EventSplitter(PART_MAX_BYTES) if sse else ArraySplitter(PART_MAX_BYTES)
        self._digest = hashlib.sha256()
        self._client: Any = None
        self._client_bytes = 0
        self._mid_event = False
        self.withholding = False
        self.bytes = 0

    @property
    def cuttable(self) -> bool:
        """The answer is a stream of events or elements: an ending of our own may be written at a border, if its coding
        allows."""
        return self._splitter is not None or self._reply.endable

    @property
    def at_border(self) -> bool:
        """The last byte given to the client ended an event, and the body can be ended there."""
        return not self._mid_event if self._splitter is not None else bool(self._reply.ending(b""))

    @property
    def pending_bytes(self) -> int:
        """Bytes of an event that has begun and not ended."""
        return self._splitter.rest_bytes if self._splitter is not None else 0

    def answer(self, data: bytes, stamp: bytes, *, last: bool = False) -> list[bytes]:
        """Upstream bytes that the client got; `last`: its body is complete. Returns the events that they completed."""
        self._count(data)
        if self._splitter is None:
            self._tape.read(data, stamp, last=last)
            self._reply.read(data)
            return []
        events = self._split(data)
        self._record(events, stamp)
        if self._splitter.rest_bytes:
            self._ahead(data, events)
        return events

    def withhold_usage(self) -> None:
        """The tap has asked for usage: of a stream, the client gets whole events, without the one that brings it."""
        self.withholding = self._splitter is not None
        if self.withholding:
            self._part()

    def answer_asked(self, data: bytes, stamp: bytes, *, ended: bool) -> list[bytes]:
        """As `answer`, while withholding: returns the events that are the client's. `ended`: its body is complete, so
        that what no blank line ends is an event as well."""
        assert self._splitter is not None
        self._count(data)
        events = self._splitter.feed(data)
        rest = self._splitter.finish() if ended else b""
        given: list[bytes] = []
        for event in [*events, rest] if rest else events:
            hidden = only_usage(event_data(event))
            self._record([event], stamp, withheld=hidden)
            if not hidden:
                given.append(event)
                self._count_given(event)
        return given

    def cut(self, data: bytes, stamp: bytes) -> int | None:
        """Upstream bytes that came after a kill was decided in the middle of an event. The bytes up to that event's end
        are the client's: their number is returned, the rest is recorded as withheld. None: the event goes on, all of
        `data` is the client's."""
        if self._splitter is None:
            self.answer(data, stamp)
            return len(data) if self.at_border else None
        before = self._splitter.rest_bytes
        events = self._split(data)
        if not events:
            self._count(data)
            self._ahead(data, events)
            return None
        given = len(events[0]) - before
        self._count(data[:given])
        self._record(events[:1], stamp)
        self._withhold(data[given:], events[1:], stamp)
        return given

    def ending(self, message: str, code: str) -> bytes:
        """What ends the stream here in its protocol's words; empty where the client cannot get it: where the protocol
        or the coding has no such ending, and within an array's element."""
        text = kill_element(message, code) if self._array else kill_ending(self._api, message, code)
        if not text:
            return b""
        if self._splitter is None:
            return self._reply.ending(text)
        if isinstance(self._splitter, ArraySplitter):
            return self._splitter.closing(text)
        return b"\n\n" + text if self._mid_event else text

    def made_here(self, data: bytes, stamp: bytes) -> None:
        """Bytes of our own that the client got: an ending."""
        self._part()
        self._count_given(data)
        self._tape.made_here(data, stamp)

    def end(self, stamp: bytes) -> None:
        """No more comes from upstream: what is left of an event, or behind a mask, becomes the last chunk."""
        if self._splitter is None:
            self._tape.read(b"", stamp, last=True)
            return
        rest = self._splitter.finish()
        if rest:
            self._record([rest], stamp, withheld=self.withholding)

    @property
    def trouble(self) -> str:
        """What is wrong with an answer that is over: it holds an error in its provider's own words. Else empty."""
        return "the upstream reported an error in its answer" if self._reply.failed else ""

    def figures(self) -> dict[str, Any]:
        """Members of `Completion` that this side knows."""
        upstream, said = self._digest.hexdigest(), self._reply.figures()
        return {
            "chunk_count": self._reply.event_count or self._tape.chunks,
            "response_bytes": self.bytes,
            "response_sha256": upstream,
            "client_bytes": self.bytes if self._client is None else self._client_bytes,
            "client_sha256": upstream if self._client is None else self._client.hexdigest(),
            **said,
        }

    def _split(self, data: bytes) -> list[bytes]:
        assert self._splitter is not None
        events = self._splitter.feed(data)
        self._mid_event = not self._splitter.at_border
        return events

    def _record(self, events: list[bytes], stamp: bytes, *, withheld: bool = False) -> None:
        if events:
            self._tape.events(events, stamp, withheld=withheld)
            self._reply.events(events)

    def _ahead(self, data: bytes, events: list[bytes]) -> None:
        """The client gets the beginning of an event, or more of it."""
        assert self._splitter is not None
        rest = self._splitter.rest_bytes
        self._tape.ahead(self._splitter.rest if events else data, begins=bool(events) or rest == len(data))

    def _count(self, data: bytes) -> None:
        self.bytes += len(data)
        self._digest.update(data)

    def _count_given(self, data: bytes) -> None:
        self._client.update(data)
        self._client_bytes += len(data)

    def _part(self) -> None:
        """From here on the client's body differs from the upstream's."""
        if self._client is None:
            self._client = self._digest.copy()
            self._client_bytes = self.bytes

    def _withhold(self, data: bytes, events: list[bytes], stamp: bytes) -> None:
        assert self._splitter is not None
        self._part()
        self._mid_event = False
        self._count(data)
        rest = self._splitter.finish()
        self._record([*events, rest] if rest else events, stamp, withheld=True)
        if isinstance(self._splitter, ArraySplitter):
            self._splitter = between_elements()
