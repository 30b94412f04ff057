"""Measures the record worker's steps on this machine, one core: `python benchmarks/record.py [--config penstock.yaml]`.

Frames are made up (chunks of about 200 bytes, 32 a frame). Without `--config` only the pure steps run; with it the rows
go to the store of that configuration, which must be migrated and is best thrown away afterwards.
"""

import argparse
import base64
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from penstock.schemas import frames, topics
from penstock.schemas.ids import new_exchange_id, new_salt, rfc3339
from penstock.schemas.settings import load_settings
from penstock.streams.decode import decode
from penstock.streams.rows import Mark, content_columns, events_columns, facts_columns
from penstock.streams.seen import Seen, copies_among
from penstock.streams.source import Item, Source
from penstock.streams.store import Store

EVENTS_PER_FRAME = 32
CHUNK = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"delta":{"content":" word"}}]}\n\n'


def make_sources(count: int, partition: int, first_offset: int) -> list[Source]:
    """`count` frames of exchanges that run side by side."""
    now_us = time.time_ns() // 1000
    sources = []
    for number in range(count):
        exchange = new_exchange_id()
        writer = frames.EventWriter(exchange, "/tap/bench", "key:bench")
        events = []
        for seq in range(EVENTS_PER_FRAME):
            salt, at = base64.b64encode(new_salt()), rfc3339(now_us + seq).encode()
            kind, body = (frames.CHUNK, CHUNK) if seq else (frames.PROMPT, b"{}")
            events.append(writer.write(kind, seq, at, salt, body))
        headers = (
            (frames.HEADER_TAP, b"bench"),
            (frames.HEADER_EPOCH, b"1"),
            (frames.HEADER_FRAME, str(number).encode()),
        )
        offset = first_offset + number
        value = frames.write_frame(events)
        sources.append(Source(topics.TRAFFIC, partition, offset, None, value, headers, now_us // 1000))
    return sources


def build(items: Sequence[Item]) -> None:
    """All columns of a batch, as the store builds them."""
    seen = Seen()
    seen.questions(items)
    copies = copies_among(items, {})
    marks = {item.source.place: Mark() for item in items}
    content_columns(items, copies)
    facts_columns(items, copies)
    events_columns(items, marks, copies, 1)
    seen.stored(items, copies)


def timed(name: str, events: int, work: Callable[[], object]) -> None:
    """Runs `work` and prints its speed, by processor time of this process and by the clock."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{name:28} {events / processor:12,.0f} events/s of processor {events / wall:12,.0f} events/s by the clock")


def main() -> None:
    """Prints one line per step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--frames", type=int, default=80, help="frames per batch")
    parser.add_argument("--batches", type=int, default=20)
    given = parser.parse_args()
    batches = [make_sources(given.frames, 0, number * given.frames) for number in range(given.batches)]
    events = given.frames * EVENTS_PER_FRAME * given.batches
    decoded: list[list[Item]] = []
    timed("decode", events, lambda: decoded.extend([i for s in batch for i in decode(s)] for batch in batches))
    timed("columns", events, lambda: [build(items) for items in decoded])
    if given.config is not None:
        store = Store(load_settings(given.config))
        timed("store (client and server)", events, lambda: [store.write(items) for items in decoded])
        timed("again: all stored already", events, lambda: [store.unstored(items) for items in decoded])


if __name__ == "__main__":
    main()
