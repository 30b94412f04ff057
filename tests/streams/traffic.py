"""Makes traffic as a tap would: exchanges as events, events as frames, frames as sources or Kafka records."""

import base64
import hashlib
from collections.abc import Sequence

from penstock.schemas import frames, topics
from penstock.schemas.ids import new_exchange_id, rfc3339
from penstock.streams.source import Source

SALT_TEXT = base64.b64encode(bytes(16))
AT_US = 1_795_500_000_000_000


def salt_of(event_id: str) -> bytes:
    """A salt that a test can compute again."""
    return hashlib.sha256(event_id.encode()).digest()[:16]


def exchange_events(exchange: str, chunks: int) -> list[bytes]:
    """An exchange of head, one prompt part, `chunks` chunks and a completion, encoded."""
    writer = frames.EventWriter(exchange, "/tap/t1", "key:k1")
    bodies = [(frames.PROMPT, b"{}"), (frames.PROMPT, b'{"messages":[]}')]
    bodies += [(frames.CHUNK, b"data: %d of %s\n\n" % (number, exchange.encode())) for number in range(chunks)]
    bodies.append((frames.COMPLETION, b'{"v":1}'))
    written = []
    for seq, (kind, body) in enumerate(bodies):
        salt = base64.b64encode(salt_of(f"{exchange}/{seq}"))
        written.append(writer.write(kind, seq, rfc3339(AT_US + seq).encode(), salt, body))
    return written


def headers(number: int, *, replayed: bool = False) -> tuple[tuple[str, bytes], ...]:
    """The headers of a frame."""
    named = [
        (frames.HEADER_TAP, b"t1"),
        (frames.HEADER_EPOCH, b"7"),
        (frames.HEADER_FRAME, str(number).encode()),
    ]
    return (*named, (frames.HEADER_REPLAYED, b"1")) if replayed else tuple(named)


def frame_source(events: Sequence[bytes], offset: int = 0, *, partition: int = 0, replayed: bool = False) -> Source:
    """A frame as it would lie in Kafka."""
    value = frames.write_frame(events)
    given = headers(offset, replayed=replayed)
    return Source(topics.TRAFFIC, partition, offset, None, value, given, AT_US // 1000)


def interleaved(exchanges: int, chunks: int, per_frame: int) -> tuple[list[list[bytes]], int]:
    """Frames that mix the events of several exchanges, and how many events they hold."""
    running = [exchange_events(new_exchange_id(), chunks) for _ in range(exchanges)]
    mixed = [events[place] for place in range(chunks + 3) for events in running]
    return [mixed[start : start + per_frame] for start in range(0, len(mixed), per_frame)], len(mixed)
