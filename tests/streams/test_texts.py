"""Which exchanges of a batch are decoded, and from what."""

import gzip
import json

import pytest

from penstock.schemas import frames
from penstock.schemas.ids import new_exchange_id
from penstock.streams.decode import decode
from penstock.streams.seen import address_of
from penstock.streams.source import Item
from penstock.streams.texts import RUN_MAX_BYTES, RUN_MAX_EXCHANGES, Ended, decoded_columns, ended_of, pieces_of, runs

from .traffic import SALT_TEXT, frame_source

BODY, REPLY = b'{"messages":[]}', b"data: one\n\ndata: two\n\n"


def exchange(
    name: str, *, coding: str = "gzip", request: str = "", last: bytes | None = None, parts: int = 2
) -> list[bytes]:
    """A whole exchange whose answer came in `parts` reads."""
    packed = gzip.compress(REPLY)
    size = len(packed) // parts + 1
    ended = json.dumps({"content_encoding": coding, "request_encoding": request}).encode()
    bodies = [
        (frames.PROMPT, b"{}", b""),
        (frames.PROMPT, gzip.compress(BODY) if request else BODY, b',"part":1'),
        *((frames.CHUNK, packed[at : at + size], b"") for at in range(0, len(packed), size)),
        (
            frames.COMPLETION,
            last or ended,
            b"",
        ),
    ]
    writer = frames.EventWriter(name, "/tap/t1", "key:k1")
    return [
        writer.write(kind, seq, b"2026-11-24T00:00:00.000000Z", SALT_TEXT, body, extra=extra)
        for seq, (kind, body, extra) in enumerate(bodies)
    ]


def items_of(*events: bytes, offset: int = 0) -> list[Item]:
    return decode(frame_source(events, offset))


def test_a_whole_exchange_is_decoded_from_the_batch() -> None:
    name = new_exchange_id()
    (found,) = ended_of(items_of(*exchange(name, request="gzip")), {})
    assert found.events is not None
    columns = decoded_columns([found], pieces_of(found.events))
    assert columns == {
        "exchange_id": [name] * 3,
        "kind": ["prompt", "chunk", "chunk"],
        "seq": [0, 0, 1],
        "body": [BODY, b"data: one\n\n", b"data: two\n\n"],
    }


def test_the_end_alone_asks_for_the_rest() -> None:
    events = exchange(new_exchange_id())
    (found,) = ended_of(items_of(*events[2:]), {})
    assert found.events is None


def test_an_exchange_is_read_however_its_pieces_are_ordered() -> None:
    (found,) = ended_of(items_of(*exchange(new_exchange_id(), parts=5)), {})
    assert found.events is not None
    pieces = list(pieces_of(found.events))
    assert decoded_columns([found], reversed(pieces)) == decoded_columns([found], pieces)


@pytest.mark.parametrize(
    "last", [b'{"content_encoding":""}', b'{"content_encoding":"identity"}', b"{}", b"no JSON_encoding"]
)
def test_what_was_not_encoded_is_left_alone(last: bytes) -> None:
    assert ended_of(items_of(*exchange(new_exchange_id(), last=last)), {}) == []


def test_a_second_copy_is_left_alone() -> None:
    items = items_of(*exchange(new_exchange_id()))
    assert ended_of(items, {address_of(item): "first" for item in items}) == []


def test_exchanges_are_read_in_runs_that_fit_into_memory() -> None:
    def ended(size_bytes: int) -> Ended:
        return Ended(new_exchange_id(), {}, size_bytes, None)

    large, small = ended(RUN_MAX_BYTES), [ended(1) for _ in range(RUN_MAX_EXCHANGES + 1)]
    found = list(runs([large, *small]))
    assert [len(run) for run in found] == [1, RUN_MAX_EXCHANGES, 1]
    assert [one for run in found for one in run] == [large, *small]
