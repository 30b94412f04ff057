"""Finds byte strings in everything that a deployment left on disk: plain, or inside Kafka batches and ClickHouse parts.

Kafka: record batches v2, decompressed by aiokafka's reader; bodies of traffic events are also decoded from base64.
ClickHouse: `.bin` files are sequences of compressed blocks: 16 bytes checksum, 1 byte method, 4 bytes compressed size
(header of 9 bytes included), 4 bytes plain size (ClickHouse, src/Compression/CompressedReadBufferBase).
"""

import base64
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import lz4.block
from aiokafka.record.memory_records import MemoryRecords
from backports import zstd

_BASE64 = re.compile(rb'"data_base64":"([^"]*)"')
_NONE, _LZ4, _ZSTD = 0x02, 0x82, 0x90


def find(root: Path, needles: Iterable[bytes]) -> dict[bytes, list[str]]:
    """Where each needle stands: `relative path` of the file, with `kafka`, `clickhouse` or `plain` before it."""
    places: dict[bytes, list[str]] = {needle: [] for needle in needles}
    for path in sorted(root.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        for how, content in _readings(path):
            for needle, found in places.items():
                if needle in content:
                    found.append(f"{how} {path.relative_to(root)}")
    return places


def _readings(path: Path) -> Iterator[tuple[str, bytes]]:
    content = path.read_bytes()
    yield "plain", content
    if path.suffix == ".log" and path.stem.isdigit():
        yield from (("kafka", value) for value in _kafka_values(content))
    if path.suffix == ".seg":
        yield "journal", b"".join(map(base64.b64decode, _BASE64.findall(content)))
    if path.suffix == ".bin":
        yield "clickhouse", b"".join(_clickhouse_blocks(content))


def _kafka_values(segment: bytes) -> Iterator[bytes]:
    records = MemoryRecords(segment)
    while records.has_next():
        for record in records.next_batch():
            value = record.value or b""
            yield value + (record.key or b"") + b"".join(name.encode() + (held or b"") for name, held in record.headers)
            for encoded in _BASE64.findall(value):
                yield base64.b64decode(encoded)


def _clickhouse_blocks(content: bytes) -> Iterator[bytes]:
    place = 0
    while place + 25 <= len(content):
        method = content[place + 16]
        size = int.from_bytes(content[place + 17 : place + 21], "little")
        plain = int.from_bytes(content[place + 21 : place + 25], "little")
        payload = content[place + 25 : place + 16 + size]
        if method == _LZ4:
            yield lz4.block.decompress(payload, uncompressed_size=plain)
        elif method == _ZSTD:
            yield zstd.decompress(payload)
        elif method == _NONE:
            yield payload
        else:
            return
        place += 16 + size
