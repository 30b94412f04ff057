"""Packs the official `.tiktoken` files into `wire/vocab/*.xz` (see `wire/vocabulary.py` for the format).

Run `python scripts/pack_vocabulary.py FOLDER`, where FOLDER holds `o200k_base.tiktoken` and `cl100k_base.tiktoken`;
it prints the digests that `wire/vocabulary.py` checks.
"""

import base64
import hashlib
import lzma
import sys
from pathlib import Path

from penstock.wire.vocabulary import SOURCES

TARGET = Path(__file__).resolve().parent.parent / "wire" / "vocab"
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 24, "lc": 4, "lp": 0}]


def pack(official: bytes) -> bytes:
    """Length byte and token bytes, in order of rank. ValueError where ranks have gaps."""
    packed = bytearray()
    for place, line in enumerate(official.splitlines()):
        token, rank = line.split()
        if int(rank) != place:
            raise ValueError(f"rank {rank.decode()} stands at place {place}")
        content = base64.b64decode(token)
        packed += bytes([len(content)]) + content
    return bytes(packed)


def main(folder: Path) -> None:
    for name, source in SOURCES.items():
        official = (folder / f"{name}.tiktoken").read_bytes()
        if hashlib.sha256(official).hexdigest() != source.official_sha256:
            raise SystemExit(f"{folder / name}.tiktoken is not the official file (its SHA-256 differs)")
        packed = pack(official)
        TARGET.mkdir(exist_ok=True)
        (TARGET / f"{name}.xz").write_bytes(lzma.compress(packed, format=lzma.FORMAT_XZ, filters=FILTERS))
        print(name, hashlib.sha256(packed).hexdigest())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
