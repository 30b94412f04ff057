"""The bytes of the journal: whole records are read, torn ones never, and damage never hides what follows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway_tap.journal_record import (
    HEAD_BYTES,
    VERSION,
    Damage,
    ForeignSegment,
    Kind,
    OpenExchange,
    Record,
    SegmentHead,
    aligned,
    read_head,
    read_open,
    read_partial,
    scan,
    write_head,
    write_open,
    write_partial,
    write_record,
)

HEAD = SegmentHead(
    tap="tap-1", epoch=5, writer=6, number=3, size=8192, partitions=4, boot="b", mark=0xABCD1234, start=99
)
BODIES = st.lists(st.binary(max_size=300), max_size=12)


def segment(bodies: list[bytes]) -> tuple[bytearray, list[tuple[int, int]]]:
    content, at, places = bytearray(HEAD.size), HEAD_BYTES, []
    content[:HEAD_BYTES] = write_head(HEAD)
    for number, body in enumerate(bodies):
        written = write_record(HEAD, Kind.EVENTS, 2, 1, 7, number, body) + body
        content[at : at + len(written)] = written
        places.append((at, at + len(written)))
        at = aligned(at + len(written))
    return content, places


def read(content: bytes | bytearray, *, last: bool = True) -> list[Record | Damage]:
    return list(scan(memoryview(bytes(content)), HEAD, last=last))


@given(BODIES)
def test_records_come_back_as_they_were_written(bodies: list[bytes]) -> None:
    content, places = segment(bodies)
    found = [record for record in read(content) if isinstance(record, Record)]
    assert [(record.body, record.before, record.at, record.end) for record in found] == [
        (body, number, *place) for number, (body, place) in enumerate(zip(bodies, places, strict=True))
    ]
    assert all((record.kind, record.partition, record.frame) == (Kind.EVENTS, 2, 7) for record in found)


@given(BODIES.filter(bool), st.data())
def test_a_torn_end_is_as_if_never_written(bodies: list[bytes], data: st.DataObject) -> None:
    content, places = segment(bodies)
    begin, end = places[-1]
    cut = data.draw(st.integers(begin, end - 1))
    content[cut:] = bytes(len(content) - cut)
    whole = [record for record in read(content) if isinstance(record, Record)]
    if write_record(HEAD, Kind.EVENTS, 2, 1, 7, len(bodies) - 1, bodies[-1]) + bodies[-1] != content[begin:end]:
        assert [record.body for record in whole] == bodies[:-1]
    assert not [found for found in read(content) if isinstance(found, Damage)]


@given(BODIES.filter(lambda bodies: len(bodies) > 1), st.data())
def test_damage_costs_one_record_and_is_named(bodies: list[bytes], data: st.DataObject) -> None:
    content, places = segment(bodies)
    number = data.draw(st.integers(0, len(bodies) - 2))
    at = data.draw(st.integers(places[number][0], places[number][1] - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    found = read(content)
    spare = at == places[number][0] + 13  # the one byte of a record that says nothing is covered as well
    assert not spare or isinstance(found[number], Damage)
    assert [record.body for record in found if isinstance(record, Record)] == bodies[:number] + bodies[number + 1 :]
    assert [one for one in found if isinstance(one, Damage)] == [Damage(places[number][0], places[number + 1][0])]


def test_a_torn_end_of_an_earlier_segment_is_damage() -> None:
    content, places = segment([b"one", b"two"])
    end = write_record(HEAD, Kind.END, 0, 0, 0, 0, b"")
    content[aligned(places[1][1]) : aligned(places[1][1]) + len(end)] = end
    assert [type(found) for found in read(content, last=False)] == [Record, Record]
    content[places[1][0] :] = bytes(HEAD.size - places[1][0])
    assert [type(found) for found in read(content, last=True)] == [Record]
    assert read(content, last=False)[1:] == [Damage(places[1][0], HEAD.size)]


def test_content_is_never_taken_for_a_record() -> None:
    other = SegmentHead(
        tap="tap-1", epoch=5, writer=6, number=4, size=8192, partitions=4, boot="b", mark=0x11112222, start=98
    )
    forged = write_record(other, Kind.EVENTS, 1, 1, 1, 1, b"forged") + b"forged"
    content, places = segment([b"a", forged.rjust(len(forged) + 4, b"\0"), b"b"])
    content[places[1][0]] ^= 1
    assert [record.body for record in read(content) if isinstance(record, Record)] == [b"a", b"b"]


def test_heads() -> None:
    written = write_head(HEAD)
    assert len(written) == HEAD_BYTES
    assert read_head(written) == HEAD
    assert read_head(bytes(HEAD_BYTES)) is None
    for content, said in (
        (b"something else".ljust(HEAD_BYTES), "does not begin as a segment"),
        (written[:8] + bytes([VERSION + 1]) + written[9:], f"version {VERSION + 1}"),
        (written[:40] + b"?" + written[41:], "head is damaged"),
        (written[:100], "does not begin as a segment"),
    ):
        with pytest.raises(ForeignSegment, match=said):
            read_head(content)
    with pytest.raises(ValueError, match="too long"):
        write_head(
            SegmentHead(tap="x" * 600, epoch=1, writer=1, number=1, size=1, partitions=1, boot="", mark=1, start=1)
        )


@given(st.text("0123456789abcdef-", max_size=36), st.binary(max_size=100), st.integers(0, 2**32 - 1))
def test_partials_and_open_exchanges(exchange_id: str, data: bytes, hidden: int) -> None:
    assert read_partial(write_partial(exchange_id.encode(), data, hidden)) == (exchange_id, data, hidden)
    known = OpenExchange(exchange=exchange_id, seq=4, source="/tap/t", subject="key:k", time="now")
    assert read_open(write_open(known, data, hidden)) == (known, data, hidden)
