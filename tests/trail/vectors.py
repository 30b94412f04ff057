"""Makes tests/trail/vectors.json: `python -m tests.trail.vectors` from the root of the repository.

Everything but the expected values is written out by hand, so that another implementation can be held against them.
"""

import json
from pathlib import Path
from typing import Any

from penstock.schemas.commitment import commitment, traffic_attributes
from penstock.trail.checkpoint import Checkpoint, sign_checkpoint
from penstock.trail.leaf import Row, leaf_bytes, row_hash
from penstock.trail.merkle import CompactRange, consistency_ranges, inclusion_ranges, prove, root_of
from penstock.trail.note import verifier_of

PATH = Path(__file__).with_name("vectors.json")
ORIGIN = "example.org/penstock"
SEED = bytes(range(32))
EXCHANGE = "019abcde-0000-7000-8000-000000000001"
CONTENTS = [
    {
        "salt": "000102030405060708090a0b0c0d0e0f",
        "subject": "key:k1",
        "attributes": traffic_attributes("prompt", "client", 1, False, ""),
        "body": '{"model":"gpt-4o","messages":[]}',
    },
    {
        "salt": "101112131415161718191a1b1c1d1e1f",
        "subject": "key:k1",
        "attributes": traffic_attributes("chunk", "upstream", 0, True, "12-20,31-40"),
        "body": 'data: {"choices":[{"delta":{"content":"naïve ☂"}}]}\n\n',
    },
    {"salt": "", "subject": "", "attributes": "tombstone", "body": ""},
]


def committed(content: dict[str, str]) -> bytes:
    salt = bytes.fromhex(content["salt"])
    return commitment(salt, content["subject"], content["attributes"], content["body"].encode())


def rows() -> list[Row]:
    """Five rows that differ in every kind of column."""
    zero = bytes(32)
    first, second, third = (committed(content) for content in CONTENTS)
    traffic, at_us, at_ms = b"penstock.traffic.v1", 1_795_500_000_000_001, 1_795_500_000_123
    head = (EXCHANGE + "/1").encode()
    exchange = EXCHANGE.encode()
    return [
        Row(traffic, 0, 0, 0, head, exchange, b"prompt", 1, b"client", at_us, at_ms, first, zero, b"", b"tap-1", 7, 0),
        Row(
            *(traffic, 0, 0, 1, (EXCHANGE + "/2").encode(), exchange, b"chunk", 2, b"upstream", at_us + 1, at_ms),
            *(second, first, b"", b"tap-1", 7, 0),
        ),
        Row(
            *(traffic, 0, 1, 0, head, exchange, b"prompt", 1, b"client", at_us, at_ms + 9, first, second),
            *(b"penstock.traffic.v1/0/0/0", b"tap-1", 7, 1),
        ),
        Row(
            *(b"penstock.control.v1", 0, 2**63, 0, b"tombstone/penstock.control.v1/0/9223372036854775808", b""),
            *(b"tombstone", 0, b"", -1, 0, third, zero, b"", b"", 0, 0),
        ),
        Row(
            *(b"\xff\x00", 2**32 - 1, 2**64 - 1, 2**32 - 1, b"", b"", b"", 2**32 - 1, b"", -(2**63), 2**63 - 1),
            *(zero, zero, b"", b"", 2**64 - 1, 2**64 - 1),
        ),
    ]


def shown(row: Row) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in row._asdict().items()}


def vectors() -> dict[str, Any]:
    """All vectors, as they stand in the file."""
    hashes = [row_hash(row) for row in rows()]

    def subtree(begin: int, end: int) -> bytes:
        return root_of(hashes[begin:end])

    tree, roots = CompactRange(), []
    for found in hashes:
        tree.append(found)
        roots.append(tree.root().hex())
    checkpoint = Checkpoint(ORIGIN, len(hashes), tree.root(), 1_795_500_010)
    return {
        "note": "bytes are hexadecimal; text of `commitments` is UTF-8; docs/trail.md explains each part",
        "commitments": [{**content, "commitment": committed(content).hex()} for content in CONTENTS],
        "leaves": [
            {"row": shown(row), "leaf": leaf_bytes(row).hex(), "hash": found.hex()}
            for row, found in zip(rows(), hashes, strict=True)
        ],
        "roots": roots,
        "inclusion": [
            {"index": index, "proof": [node.hex() for node in prove(inclusion_ranges(index, 5), subtree)]}
            for index in range(5)
        ],
        "consistency": [
            {"old": old, "proof": [node.hex() for node in prove(consistency_ranges(old, 5), subtree)]}
            for old in range(1, 6)
        ],
        "checkpoint": {
            "seed": SEED.hex(),
            "public_key": str(verifier_of(ORIGIN, SEED)),
            "note": sign_checkpoint(checkpoint, SEED),
        },
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n")
