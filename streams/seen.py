"""Which events may be second copies: pure bookkeeping over rows that are stored already.

The store alone knows (a copy is found by asking it for the event's id), but asking for every event would cost more than
storing it. An event needs no question if this process stored its exchange from event 0 on, and the event comes later
than all of those. Forgetting is always safe: it costs a question.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from penstock.schemas import topics

from .source import DEAD_LETTER, TOMBSTONE, Item

_MAX_EXCHANGES: Final = 200_000


class Seen:
    """The open exchanges that this process stored from their first event, with the last `seq` of each."""

    def __init__(self, max_exchanges: int = _MAX_EXCHANGES) -> None:
        self._last: dict[str, int] = {}
        self._max = max_exchanges

    def questions(self, items: Iterable[Item]) -> list[Item]:
        """The items whose ids the store must be asked for before they are written."""
        last: dict[str, int] = {}
        asked = []
        for item in items:
            if item.kind in (DEAD_LETTER, TOMBSTONE):
                continue
            exchange = item.exchange_id
            before = last.get(exchange, self._last.get(exchange, -1))
            if before < 0 or item.seq <= before or item.frame.replayed or not _counts(item):
                asked.append(item)
            if _counts(item) and (before >= 0 or item.seq == 0):
                last[exchange] = max(before, item.seq)
        return asked

    def followers(self, items: Sequence[Item], found: Mapping[str, Sequence["Place"]]) -> list[Item]:
        """The further items to ask for once `found` says which ids the store holds: where an exchange's first event is
        a copy, the rest of it in this batch may be."""
        copied = {item.exchange_id for item in items if item.seq == 0 and item.event_id in found}
        return [item for item in items if item.exchange_id in copied and item.event_id not in found]

    def stored(self, items: Iterable[Item], copies: Mapping["Place", str]) -> None:
        """Notes items whose rows the store holds now; `copies` are those that became `duplicate_of` rows."""
        for item in items:
            exchange = item.exchange_id
            if not _counts(item) or address_of(item) in copies:
                continue
            if item.kind == "completion":
                self._last.pop(exchange, None)
            elif exchange in self._last:
                self._last[exchange] = max(self._last[exchange], item.seq)
            elif item.seq == 0:
                self._last[exchange] = 0
        while len(self._last) > self._max:
            self._last.pop(next(iter(self._last)))


Place = tuple[str, int, int, int]
"""Topic, partition, offset, index."""


def address_of(item: Item) -> Place:
    """Where an item stands."""
    return item.source.topic, item.source.partition, item.source.offset, item.index


def copies_among(items: Sequence[Item], found: Mapping[str, Sequence[Place]]) -> dict[Place, str]:
    """The items that are second copies, with the address of the first, which lies in the store (`found`: places by
    event id) or earlier in `items`."""
    first: dict[str, Place] = {}
    copies: dict[Place, str] = {}
    for item in items:
        if item.kind in (DEAD_LETTER, TOMBSTONE):
            continue
        here = address_of(item)
        stored = [place for place in found.get(item.event_id, ()) if place[:2] != here[:2] or place < here]
        origin = min(stored) if stored else first.get(item.event_id)
        if origin is None:
            first[item.event_id] = here
        else:
            copies[here] = "/".join(map(str, origin))
    return copies


def _counts(item: Item) -> bool:
    """Whether the item is a traffic event of an exchange."""
    return item.source.topic == topics.TRAFFIC and bool(item.exchange_id) and not item.why_dead
