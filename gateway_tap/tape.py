"""Pure: writes the events of one exchange in order: prompt head, prompt parts, chunks, completion.

Sequence numbers are dense from 0; no event is larger than a record may be; bodies are masked before they are encoded.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import orjson

from penstock.schemas.frames import CHUNK, COMPLETION, PART_MAX_BYTES, PROMPT, READ_MAX_BYTES, EventWriter
from penstock.wire.masks import Place

from .masking import Masker, cut_places, written

Publish = Callable[[list[bytes]], object]
Salt = Callable[[], bytes]
Ahead = Callable[[bytes, int], None]

CODING_MAX_CHARS: Final = 64
WITHHELD: Final = b',"withheld":true'
CLIENT: Final = b"client"
UPSTREAM: Final = b"upstream"
TAP: Final = b"tap"


class Tape:
    """The events of one exchange. `publish` gets encoded events; `stamp` arguments are RFC 3339 texts; `chunks` counts
    the chunks that came from upstream. `ahead` is told what a client gets before the event that will hold it is made
    (bytes, and how many more that may be the beginning of a credential), where somebody wants to know."""

    __slots__ = (
        "_ahead",
        "_coding",
        "_credentials",
        "_half",
        "_parts",
        "_publish",
        "_salt",
        "_seq",
        "_writer",
        "chunks",
        "masker",
    )

    def __init__(
        self,
        writer: EventWriter,
        publish: Publish,
        salt: Salt,
        credentials: Sequence[bytes],
        ahead: Ahead | None = None,
    ) -> None:
        self._writer = writer
        self._publish = publish
        self._salt = salt
        self._seq = 0
        self._parts = 0
        self.chunks = 0
        self.masker = Masker(credentials)
        self._credentials = credentials
        self._ahead = ahead
        self._half: Masker | None = None
        self._coding = b""

    def encoded(self, content_encoding: str) -> None:
        """What `read` gets from here on is encoded so."""
        self._coding = b',"coding":%b' % orjson.dumps(content_encoding[:CODING_MAX_CHARS])

    def prompt(self, head: bytes, body: bytes, stamp: bytes) -> None:
        """The head of a request (a `PromptHead` as JSON), and its body as far as it is known: whole, or empty."""
        events = [self._encode(PROMPT, stamp, self.masker.record(head), CLIENT)]
        masked, places = self.masker.whole(body)
        events += self._prompt_parts(masked, places, stamp)
        self._publish(events)

    def prompt_piece(self, data: bytes, stamp: bytes) -> None:
        """More of a request's body that passes through."""
        masked, places = self.masker.feed(data)
        self._publish(list(self._prompt_parts(masked, places, stamp)))

    def prompt_end(self, stamp: bytes) -> None:
        """The end of a body that passed through."""
        masked, places = self.masker.finish()
        self._publish(list(self._prompt_parts(masked, places, stamp)))

    def events(self, events: list[bytes], stamp: bytes, *, withheld: bool = False) -> None:
        """Chunks of an SSE answer: whole events, each masked by itself."""
        extra = WITHHELD if withheld else b""
        whole, salt, write, seq = self.masker.whole, self._salt, self._writer.write, self._seq
        encoded: list[bytes] = []
        for event in events:
            if len(event) > PART_MAX_BYTES:
                self._seq = seq
                encoded += self._chunks(*whole(event), stamp, UPSTREAM, extra)
                seq = self._seq
                continue
            body, places = whole(event)
            encoded.append(write(CHUNK, seq, stamp, salt(), body, extra=extra + written(places) if places else extra))
            seq += 1
            self.chunks += 1
        self._seq = seq
        self._publish(encoded)

    def read(self, data: bytes, stamp: bytes, *, last: bool) -> None:
        """Chunks of any other answer: one read, cut where it is larger than 64 KB. `last`: no more follows."""
        body, places = self.masker.finish(data) if last else self.masker.feed(data)
        if body:
            self._publish(list(self._chunks(body, places, stamp, UPSTREAM, self._coding)))
        if self._ahead is not None and self.masker.held_bytes:
            self._ahead(b"", self.masker.held_bytes)

    def ahead(self, data: bytes, *, begins: bool) -> None:
        """Bytes of an SSE event that its client gets before the event is whole. `begins`: they are its first."""
        if self._ahead is None:
            return
        if begins or self._half is None:
            self._half = Masker(self._credentials)
        body, _ = self._half.feed(data)
        self._ahead(body, self._half.held_bytes)

    def made_here(self, data: bytes, stamp: bytes) -> None:
        """Bytes that the tap itself gave the client: an ending, or the body of a refusal."""
        self._publish(list(self._chunks(data, [], stamp, TAP, b"")))

    def completion(self, record: bytes, stamp: bytes) -> None:
        """The end (a `Completion` as JSON). Nothing follows it."""
        self._publish([self._encode(COMPLETION, stamp, self.masker.record(record), TAP)])

    def _prompt_parts(self, body: bytes, places: list[Place], stamp: bytes) -> Iterator[bytes]:
        if body and len(body) <= PART_MAX_BYTES:
            self._parts += 1
            yield self._encode(PROMPT, stamp, body, CLIENT, b',"part":%d' % self._parts + written(places))
            return
        for start in range(0, len(body), PART_MAX_BYTES):
            self._parts += 1
            end = min(start + PART_MAX_BYTES, len(body))
            extra = b',"part":%d' % self._parts + written(cut_places(places, start, end))
            yield self._encode(PROMPT, stamp, body[start:end], CLIENT, extra)

    def _chunks(self, body: bytes, places: list[Place], stamp: bytes, origin: bytes, extra: bytes) -> Iterator[bytes]:
        if body and len(body) <= READ_MAX_BYTES:
            self.chunks += origin is UPSTREAM
            yield self._encode(CHUNK, stamp, body, origin, extra + written(places))
            return
        for start in range(0, len(body), READ_MAX_BYTES):
            end = min(start + READ_MAX_BYTES, len(body))
            self.chunks += origin is UPSTREAM
            yield self._encode(CHUNK, stamp, body[start:end], origin, extra + written(cut_places(places, start, end)))

    def _encode(self, kind: str, stamp: bytes, body: bytes, origin: bytes, extra: bytes = b"") -> bytes:
        event = self._writer.write(kind, self._seq, stamp, self._salt(), body, origin=origin, extra=extra)
        self._seq += 1
        return event
