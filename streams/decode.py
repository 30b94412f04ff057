"""A Kafka record of any recorded topic becomes items; what cannot be read becomes a dead one. Pure; raises never."""

import re
from typing import Final

from penstock.schemas import frames, topics
from penstock.schemas.commitment import commitment, traffic_attributes
from penstock.schemas.errors import ContractError, FrameError
from penstock.schemas.facts import MODELS, Facts, facts_of
from penstock.schemas.ids import parse_rfc3339
from penstock.schemas.records import Record, read_record, read_value

from .source import DEAD_LETTER, TOMBSTONE, Frame, Item, Source

_DIGITS: Final = re.compile(rb"[0-9]{1,19}")


def decode(source: Source) -> list[Item]:
    """The events of `source`, with dense indexes from 0. An event that does not follow the contract, and a record that
    is no frame, is a dead item that says why; it never costs its neighbours."""
    if source.topic == topics.TRAFFIC:
        return _decode_frame(source)
    if source.value is None and source.topic in topics.COMPACTED:
        return [_tombstone(source)]
    try:
        return [_decode_record(source)]
    except ContractError as error:
        return [dead(source, 0, source.value or b"", str(error))]


def dead(source: Source, index: int, raw: bytes, why: str) -> Item:
    """A dead item. Its commitment has no salt: a later attempt must give the same leaf, and nothing else in the trail
    holds these bytes."""
    address = f"{source.topic}/{source.partition}/{source.offset}/{index}"
    return Item(
        source=source,
        index=index,
        event_id=f"dead/{address}",
        exchange_id="",
        kind=DEAD_LETTER,
        occurred_at_us=source.appended_at_ms * 1000,
        commitment=commitment(b"", address, DEAD_LETTER, raw),
        subject=address,
        attributes=DEAD_LETTER,
        body=raw,
        why_dead=why,
    )


def _decode_frame(source: Source) -> list[Item]:
    try:
        frame = _frame(source)
        raws = frames.split_frame(source.value)
    except FrameError as error:
        return [dead(source, 0, source.value or b"", str(error))]
    items = []
    for index, raw in enumerate(raws):
        try:
            items.append(_traffic_item(source, frame, index, frames.read_event(raw)))
        except ContractError as error:
            items.append(dead(source, index, bytes(raw), str(error)))
    return items


def _frame(source: Source) -> Frame:
    headers = dict(source.headers)
    numbers = {}
    for name in (frames.HEADER_EPOCH, frames.HEADER_FRAME):
        text = headers.get(name, b"")
        if not _DIGITS.fullmatch(text):
            raise FrameError(f"the header {name} is missing or no number")
        numbers[name] = int(text)
    try:
        tap_id = headers[frames.HEADER_TAP].decode()
    except (KeyError, UnicodeDecodeError) as error:
        raise FrameError(f"the header {frames.HEADER_TAP} is missing or no text") from error
    return Frame(tap_id, numbers[frames.HEADER_EPOCH], numbers[frames.HEADER_FRAME], frames.HEADER_REPLAYED in headers)


def _traffic_item(source: Source, frame: Frame, index: int, event: frames.Event) -> Item:
    kind = event.kind
    body, salt = event.body, event.salt_bytes
    attributes = traffic_attributes(kind, event.origin, event.part, event.withheld, event.redacted)
    return Item(
        source=source,
        index=index,
        event_id=event.id,
        exchange_id=event.exchangeid,
        kind=kind,
        occurred_at_us=event.time_us,
        commitment=commitment(salt, event.subject, attributes, body),
        subject=event.subject,
        attributes=attributes,
        body=body,
        frame=frame,
        seq=event.seq,
        origin=event.origin,
        salt=salt,
        part=event.part,
        withheld=event.withheld,
        redacted=event.redacted,
    )


def _decode_record(source: Source) -> Item:
    record = read_record(source.value, source.headers)
    model = read_value(MODELS[source.topic], record.value)
    return _record_item(source, record, facts_of(model, record.id))


def _record_item(source: Source, record: Record, facts: Facts) -> Item:
    return Item(
        source=source,
        index=0,
        event_id=record.id,
        exchange_id=record.exchange_id,
        kind=record.type,
        occurred_at_us=parse_rfc3339(record.time),
        commitment=commitment(record.salt, record.subject, record.type, record.value),
        subject=record.subject,
        attributes=record.type,
        body=record.value,
        origin=record.source,
        salt=record.salt,
        facts=facts,
    )


def _tombstone(source: Source) -> Item:
    key = (source.key or b"").decode(errors="replace")
    return Item(
        source=source,
        index=0,
        event_id=f"{TOMBSTONE}/{source.topic}/{source.partition}/{source.offset}",
        exchange_id="",
        kind=TOMBSTONE,
        occurred_at_us=source.appended_at_ms * 1000,
        commitment=commitment(b"", key, TOMBSTONE, b""),
        subject=key,
        attributes=TOMBSTONE,
        body=b"",
    )
