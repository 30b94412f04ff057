"""Pure: a record of `penstock.traffic.v1` as the meter reads it.

What cannot be read is left to `record`, which keeps it as a dead letter; the meter counts what is left.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from penstock.schemas.errors import ContractError
from penstock.schemas.frames import HEADER_EPOCH, HEADER_REPLAYED, HEADER_TAP, Event, read_event, split_frame

_log = structlog.get_logger("penstock.streams.intake")


@dataclass(frozen=True, slots=True)
class TrafficFrame:
    """One frame: its place, Kafka's append time, the tap that sent it, and its readable events with their indexes."""

    partition: int
    offset: int
    appended_us: int
    size_bytes: int
    tap: str
    epoch: int
    replayed: bool
    events: tuple[tuple[int, Event], ...]


def read_traffic(
    partition: int, offset: int, appended_ms: int, headers: Iterable[tuple[str, bytes]], value: bytes | None
) -> TrafficFrame:
    """The frame at `offset`. Never raises: an event, or a whole record, that does not follow the contract is left out
    and logged by its place."""
    found = dict(headers)
    events = []
    try:
        tap, epoch = found[HEADER_TAP].decode(), int(found[HEADER_EPOCH])
        raws = list(enumerate(split_frame(value)))
    except (ContractError, KeyError, ValueError) as error:
        _log.warning("frame not counted", partition=partition, offset=offset, error=type(error).__name__)
        tap, epoch, raws = "", 0, []
    for index, raw in raws:
        try:
            events.append((index, read_event(raw)))
        except ContractError as error:
            _log.warning(
                "event not counted", partition=partition, offset=offset, index=index, error=type(error).__name__
            )
    return TrafficFrame(
        partition=partition,
        offset=offset,
        appended_us=appended_ms * 1000,
        size_bytes=len(value or b""),
        tap=tap,
        epoch=epoch,
        replayed=HEADER_REPLAYED in found,
        events=tuple(events),
    )
