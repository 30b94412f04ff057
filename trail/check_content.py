"""A row's content: is it what its commitment was made of? Pure."""

from typing import Final, NamedTuple

from penstock.schemas.commitment import commitment, traffic_attributes
from penstock.schemas.topics import TRAFFIC

from .leaf import Position, Row

COLUMNS: Final = (
    "topic, partition, offset, frame_index, exchange_id, seq, event_id, kind, origin, part, withheld, redacted, "
    "duplicate, subject, attributes, body, salt, toUnixTimestamp64Micro(occurred_at)"
)
"""What to select from `content` to get the members of `Content`, in order."""


class Content(NamedTuple):
    """One row of `content`. Text is bytes as stored."""

    topic: bytes
    partition: int
    offset: int
    frame_index: int
    exchange_id: bytes
    seq: int
    event_id: bytes
    kind: bytes
    origin: bytes
    part: int
    withheld: bool
    redacted: bytes
    duplicate: bool
    subject: bytes
    attributes: bytes
    body: bytes
    salt: bytes
    occurred_at_us: int

    @property
    def position(self) -> Position:
        return Position(self.topic, self.partition, self.offset, self.frame_index)

    @property
    def is_erased(self) -> bool:
        """Body and salt are gone, so nothing can be held against the commitment."""
        return not self.body and not self.salt and self.kind != b"tombstone"


def altered(row: Row, content: Content) -> str:
    """What of `content` is not as its event's row says; empty where all is.

    Body, subject, attributes and salt are held against the commitment; every other column against the row, or against
    the attributes that the commitment covers.
    """
    try:
        subject, attributes = content.subject.decode(), content.attributes.decode()
        named = _attributes(content)
    except UnicodeDecodeError:
        return "its text is no UTF-8"
    if commitment(content.salt, subject, attributes, content.body) != row.commitment:
        return "body, names or salt do not give the row's commitment"
    if attributes != named:
        return "its columns are not the attributes that the commitment covers"
    wrong = [name for name in _SHARED if getattr(row, name) != getattr(content, name)]
    if content.duplicate != bool(row.duplicate_of):
        wrong.append("duplicate")
    return f"its column {wrong[0]} is not as in the row" if wrong else ""


_SHARED: Final = ("exchange_id", "seq", "event_id", "kind", "origin", "occurred_at_us")


def _attributes(content: Content) -> str:
    kind = content.kind.decode()
    if content.topic != TRAFFIC.encode():
        return kind
    return traffic_attributes(kind, content.origin.decode(), content.part, content.withheld, content.redacted.decode())
