"""Pure: which exchanges of a batch had encoded bodies, and the rows of `decoded` that say what those said."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from penstock.schemas import topics
from penstock.wire.decoded import EncodedEnd, encoded_end, text_rows

from .seen import Place, address_of
from .source import Item

DECODED: Final = "decoded"
RUN_MAX_BYTES: Final = 33_554_432
RUN_MAX_EXCHANGES: Final = 200


class Ended(NamedTuple):
    """An exchange that has ended and had an encoded body. `events`: all of its events that hold bodies, or None where
    the batch does not hold them all."""

    exchange_id: str
    codings: Mapping[str, str]
    size_bytes: int
    events: Sequence[Item] | None


class Piece(NamedTuple):
    """A piece of a body, as it came."""

    exchange_id: str
    kind: str
    place: int
    body: bytes


def ended_of(items: Sequence[Item], copies: Mapping[Place, str]) -> list[Ended]:
    """The exchanges whose completion is among `items`, if a body was encoded."""
    ends: dict[str, tuple[int, EncodedEnd]] = {}
    for item in items:
        if item.kind == "completion" and item.source.topic == topics.TRAFFIC and address_of(item) not in copies:
            said = encoded_end(item.body)
            if said is not None:
                ends[item.exchange_id] = item.seq, said
    events: dict[str, list[Item]] = {name: [] for name in ends}
    for item in items if ends else ():
        if item.exchange_id in ends and item.source.topic == topics.TRAFFIC and address_of(item) not in copies:
            events[item.exchange_id].append(item)
    return [_ended(name, last, said, events[name]) for name, (last, said) in ends.items()]


def runs(ended: Iterable[Ended]) -> Iterator[list[Ended]]:
    """Exchanges that are read together: few enough for one question, and small enough for memory."""
    run: list[Ended] = []
    size_bytes = 0
    for one in ended:
        if run and (size_bytes + one.size_bytes > RUN_MAX_BYTES or len(run) == RUN_MAX_EXCHANGES):
            yield run
            run, size_bytes = [], 0
        run.append(one)
        size_bytes += one.size_bytes
    if run:
        yield run


def pieces_of(items: Iterable[Item]) -> Iterator[Piece]:
    """The pieces of bodies among the events of an exchange."""
    for item in items:
        if item.kind == "prompt" and item.part:
            yield Piece(item.exchange_id, item.kind, item.part, item.body)
        elif item.kind == "chunk" and item.origin == "upstream":
            yield Piece(item.exchange_id, item.kind, item.seq, item.body)


def decoded_columns(ended: Iterable[Ended], pieces: Iterable[Piece]) -> dict[str, list[Any]]:
    """The rows of `decoded` for exchanges and all pieces of their bodies."""
    bodies: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
    for piece in pieces:
        bodies.setdefault((piece.exchange_id, piece.kind), []).append((piece.place, piece.body))
    columns: dict[str, list[Any]] = {"exchange_id": [], "kind": [], "seq": [], "body": []}
    for one in ended:
        for kind, coding in one.codings.items():
            came = (body for _, body in sorted(bodies.get((one.exchange_id, kind), ())))
            for seq, row in enumerate(text_rows(coding, came)):
                for name, value in zip(columns, (one.exchange_id, kind, seq, row), strict=True):
                    columns[name].append(value)
    return columns


def _ended(exchange_id: str, last: int, said: EncodedEnd, events: list[Item]) -> Ended:
    whole = {item.seq for item in events} == set(range(last + 1))
    return Ended(exchange_id, said.codings, said.request_bytes + said.response_bytes, events if whole else None)
