"""Traffic events and the frames that carry them: the one codec of `penstock.traffic.v1`.

A record's value is a CloudEvents 1.0 JSON batch (our own use of that format on Kafka), its headers are
`penstock-tap`, `penstock-epoch`, `penstock-frame` and, after a replay, `penstock-replayed`.
An event's bytes stand in `data` if they are UTF-8 and escape well, else in `data_base64`.

Tested against the pydantic model `events.TrafficEvent`, which is the contract; this file is its fast form.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec
import orjson

from .errors import EventError, FrameError
from .ids import event_id, parse_rfc3339

Kind = Literal["prompt", "chunk", "completion", "tap"]

PROMPT: Final = "penstock.prompt.v1"
CHUNK: Final = "penstock.chunk.v1"
COMPLETION: Final = "penstock.completion.v1"
TAP: Final = "penstock.tap.v1"
KINDS: Final[dict[str, Kind]] = {PROMPT: "prompt", CHUNK: "chunk", COMPLETION: "completion", TAP: "tap"}

FRAME_MAX_BYTES: Final = 200_000
PART_MAX_BYTES: Final = 700_000
READ_MAX_BYTES: Final = 65_536

HEADER_TAP: Final = "penstock-tap"
HEADER_EPOCH: Final = "penstock-epoch"
HEADER_FRAME: Final = "penstock-frame"
HEADER_REPLAYED: Final = "penstock-replayed"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One traffic event as read from a frame. `seq` counts from 0 within its exchange.

    kind `prompt`: `part` 0 carries a `PromptHead` as JSON, parts 1… the request's body in order.
    kind `chunk`: one SSE event (its ending blank line included), or one read of the body.
    kind `completion`: a `Completion` as JSON. kind `tap`: a `TapStarted` as JSON, one per partition at a tap's start.
    `withheld`: the client never got these bytes. `redacted`: places masked before publishing,
    `start-end` joined by `,`. `coding`: the Content-Encoding of the body that a chunk is a read of; it says how to read
    these bytes, and is no part of them.
    `start`: Kafka offset of the frame that began the exchange, once the tap knows it.
    """

    id: str
    source: str
    type: str
    subject: str
    time: str
    exchangeid: str
    seq: int
    origin: str
    salt: str
    specversion: str = "1.0"
    part: int = 0
    withheld: bool = False
    redacted: str = ""
    coding: str = ""
    start: int | None = None
    data: str | None = None
    data_base64: str | None = None

    @property
    def kind(self) -> Kind:
        return KINDS[self.type]

    @property
    def body(self) -> bytes:
        """The event's bytes: after transfer decoding, before content decoding."""
        if self.data is not None:
            return self.data.encode()
        return base64.b64decode(self.data_base64 or "")

    @property
    def time_us(self) -> int:
        """When the tap had the bytes, in microseconds. EventError where the time cannot be read."""
        try:
            return parse_rfc3339(self.time)
        except ValueError as error:
            raise EventError(str(error)) from error

    @property
    def salt_bytes(self) -> bytes:
        return base64.b64decode(self.salt)


_UINT32: Final = range(2**32)
_decode_event = msgspec.json.Decoder(Event).decode
_decode_batch = msgspec.json.Decoder(list[msgspec.Raw]).decode


def split_frame(value: bytes | None) -> Sequence[msgspec.Raw]:
    """The raw events of a frame, in order. FrameError where the value is no JSON array."""
    try:
        return _decode_batch(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"the record is no JSON batch: {error}") from error


def read_event(raw: bytes | msgspec.Raw) -> Event:
    """One event of a frame. EventError names what is wrong with it, without its content."""
    try:
        event = _decode_event(raw)
        if event.type not in KINDS:
            raise EventError(f"unknown event type {event.type[:64]!r}")
        if event.seq not in _UINT32 or event.part not in _UINT32:
            raise EventError("seq or part is negative or too large")
        if event.type != TAP and event.id != event_id(event.exchangeid, event.seq):
            raise EventError("the id is not <exchange id>/<seq>")
        if event.data is None and event.data_base64 is None:
            raise EventError("the event has neither data nor data_base64")
        base64.b64decode(event.data_base64 or "", validate=True)
        base64.b64decode(event.salt, validate=True)
    except msgspec.ValidationError as error:
        raise EventError(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(f"the event is no JSON: {error}") from error
    except ValueError as error:
        raise EventError(f"base64: {error}") from error
    return event


def write_frame(events: Iterable[bytes]) -> bytes:
    """A frame from encoded events."""
    return b"[" + b",".join(events) + b"]"


def data_member(body: bytes) -> bytes:
    """`"data":"…"` or `"data_base64":"…"`, whichever holds `body` exactly in fewer bytes (UTF-8 that escapes badly
    goes as base64, so a part never outgrows a record)."""
    try:
        text = orjson.dumps(body.decode())
    except UnicodeDecodeError:
        return b'"data_base64":"' + base64.b64encode(body) + b'"'
    if len(text) > 512 and len(text) * 3 > len(body) * 4 + 24:
        return b'"data_base64":"' + base64.b64encode(body) + b'"'
    return b'"data":' + text


_TYPES: Final = {name: name.encode() for name in KINDS}


class EventWriter:
    """Encodes the events of one exchange; what stays the same is formatted once.

    `source` is `/tap/<tap id>`, `subject` the charged scope (`key:<key id>`).
    """

    __slots__ = ("_id", "_tail")

    def __init__(self, exchange_id: str, source: str, subject: str) -> None:
        self._tail = b',"specversion":"1.0","source":%b,"subject":%b,"exchangeid":"%b"' % (
            orjson.dumps(source),
            orjson.dumps(subject),
            exchange_id.encode(),
        )
        self._id = exchange_id.encode()

    def write(
        self,
        kind: str,
        seq: int,
        time: bytes,
        salt: bytes,
        body: bytes,
        *,
        origin: bytes = b"upstream",
        extra: bytes = b"",
    ) -> bytes:
        """One encoded event. `time` is RFC 3339 text, `salt` base64 text, `extra` further members (`,"part":1`)."""
        return b'{"type":"%b","id":"%b/%d","seq":%d,"time":"%b","origin":"%b","salt":"%b"%b%b,%b}' % (
            _TYPES[kind],
            self._id,
            seq,
            seq,
            time,
            origin,
            salt,
            extra,
            self._tail,
            data_member(body),
        )
