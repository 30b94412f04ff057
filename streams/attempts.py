"""Edge: counts how often one record crashed the worker, in a small file that survives the crash.

While records are being decoded (the only step that depends on what they hold and may fail in a way nobody foresaw) the
file names them. A worker that finds names there died over them: it takes those records one at a time, and one that is
alone in hand at its third crash is given up. Waiting for Kafka or the store names nothing, so an outage never counts.
The file belongs to one instance: a partition that moves starts over there.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from .source import Source

GIVEN_UP_AFTER: Final = 3


class Suspect(msgspec.Struct, frozen=True):
    """Records of a partition that were in hand at `crashes` crashes."""

    topic: str
    partition: int
    first: int
    last: int
    crashes: int
    in_hand: bool = False

    def holds(self, source: Source) -> bool:
        return source.place == (self.topic, self.partition) and self.first <= source.offset <= self.last


_read = msgspec.json.Decoder(list[Suspect]).decode


class Attempts:
    """The file of one instance and one agent. A file that cannot be read counts as empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._suspects: list[Suspect] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            try:
                found = _read(path.read_bytes())
            except msgspec.DecodeError:
                found = []
            self._suspects = [
                msgspec.structs.replace(item, crashes=item.crashes + item.in_hand, in_hand=False) for item in found
            ]
            self._write(self._suspects)

    def portions(self, sources: Sequence[Source]) -> Iterator[list[Source]]:
        """`sources` in order: all at once, or one at a time where some of them were in hand at a crash."""
        if self._crashes(sources):
            yield from ([source] for source in sources)
        else:
            yield list(sources)

    def given_up(self, portion: Sequence[Source]) -> bool:
        """Whether `portion` is one record that crashed the worker too often to be decoded again."""
        return len(portion) == 1 and self._crashes(portion) >= GIVEN_UP_AFTER

    def begin(self, portion: Sequence[Source]) -> None:
        """Names `portion` in the file until `settle`."""
        crashes = self._crashes(portion)
        ranges: dict[tuple[str, int], tuple[int, int]] = {}
        for source in portion:
            first, last = ranges.get(source.place, (source.offset, source.offset))
            ranges[source.place] = (min(first, source.offset), max(last, source.offset))
        named = [Suspect(*place, *span, crashes, in_hand=True) for place, span in ranges.items()]
        self._write([*named, *self._suspects])

    def settle(self, portion: Sequence[Source]) -> None:
        """Takes the names off: `portion` was decoded, or given up."""
        self._suspects = [
            item
            for item in self._suspects
            if not any(
                source.place == (item.topic, item.partition) and source.offset >= item.last for source in portion
            )
        ]
        self._write(self._suspects)

    def _crashes(self, sources: Sequence[Source]) -> int:
        if not self._suspects:
            return 0
        return max((item.crashes for item in self._suspects for source in sources if item.holds(source)), default=0)

    def _write(self, suspects: Sequence[Suspect]) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps([msgspec.structs.asdict(item) for item in suspects]))
        fresh.replace(self._path)
