"""What `record` holds of one Kafka record, and of one event in it."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from penstock.schemas.facts import Facts

DEAD_LETTER: Final = "dead_letter"
TOMBSTONE: Final = "tombstone"
GIVEN_UP: Final = "it crashed the worker three times"


class Source(msgspec.Struct, frozen=True, gc=False):
    """One Kafka record as it came."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    appended_at_ms: int

    @property
    def size_bytes(self) -> int:
        return len(self.value or b"") + len(self.key or b"")

    @property
    def place(self) -> tuple[str, int]:
        """The partition it lies in."""
        return self.topic, self.partition


class Frame(msgspec.Struct, frozen=True, gc=False):
    """What the headers of a traffic record say; empty for other topics."""

    tap_id: str = ""
    tap_epoch: int = 0
    frame_number: int = 0
    replayed: bool = False


class Item(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One event, ready to become rows. `facts` are its rows in other tables, by table name.

    `why_dead` is set where it could not be read: then `body` holds the original bytes, it has no content row and no
    facts, and its leaf keeps the indexes of its frame dense.
    """

    source: Source
    index: int
    event_id: str
    exchange_id: str
    kind: str
    occurred_at_us: int
    commitment: bytes
    subject: str
    attributes: str
    body: bytes
    frame: Frame = Frame()
    seq: int = 0
    origin: str = ""
    salt: bytes = b""
    part: int = 0
    withheld: bool = False
    redacted: str = ""
    facts: Facts = ()
    why_dead: str = ""

    @property
    def position(self) -> tuple[int, int]:
        """Offset and index: where it stands in its partition."""
        return self.source.offset, self.index

    @property
    def address(self) -> str:
        """`topic/partition/offset/index`."""
        return f"{self.source.topic}/{self.source.partition}/{self.source.offset}/{self.index}"


def bounded(sources: Sequence[Source], max_bytes: int) -> Iterator[list[Source]]:
    """`sources` in order, in runs of at most `max_bytes` (a larger record is a run of its own)."""
    run: list[Source] = []
    size = 0
    for source in sources:
        if run and size + source.size_bytes > max_bytes:
            yield run
            run, size = [], 0
        run.append(source)
        size += source.size_bytes
    if run:
        yield run
