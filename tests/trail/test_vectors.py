"""The vectors in the repository are what the code makes: a change to any format is a change to this file.

They are also computed here from scratch, with nothing of ours: what docs/trail.md says is enough to do so.
"""

import base64
import hashlib
import hmac
import json
import struct
from typing import Any

import pytest

from .vectors import PATH, vectors

FILE: dict[str, Any] = json.loads(PATH.read_text())
TEXTS = ("topic", "event_id", "exchange_id", "kind", "origin", "duplicate_of", "tap_id")


def test_the_file_is_what_the_code_makes() -> None:
    assert vectors() == FILE, (
        "a format changed: if it is meant, raise its version and run `python -m tests.trail.vectors`"
    )


@pytest.mark.parametrize("case", FILE["commitments"])
def test_commitments_from_scratch(case: dict[str, str]) -> None:
    who, what = case["subject"].encode(), case["attributes"].encode()
    message = b"penstock commitment v1\0" + struct.pack(">I", len(who)) + who + struct.pack(">I", len(what)) + what
    made = hmac.new(bytes.fromhex(case["salt"]), message + case["body"].encode(), hashlib.sha256)
    assert made.hexdigest() == case["commitment"]


@pytest.mark.parametrize("case", FILE["leaves"])
def test_leaves_from_scratch(case: dict[str, Any]) -> None:
    made = b"penstock leaf v1\0"
    for name, value in case["row"].items():
        if name in TEXTS:
            made += struct.pack(">I", len(value) // 2) + bytes.fromhex(value)
        elif isinstance(value, str):
            made += bytes.fromhex(value)
        else:
            made += struct.pack(">q" if name.startswith(("occurred", "appended")) else ">Q", value)
    assert made.hex() == case["leaf"]
    assert hashlib.sha256(b"\0" + made).hexdigest() == case["hash"]


def test_the_root_of_five_leaves_from_scratch() -> None:
    a, b, c, d, e = (bytes.fromhex(case["hash"]) for case in FILE["leaves"])

    def node(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(b"\1" + left + right).digest()

    root = node(node(node(a, b), node(c, d)), e)
    assert root.hex() == FILE["roots"][4]
    assert base64.b64encode(root).decode() == FILE["checkpoint"]["note"].split("\n")[2]
    assert [bytes.fromhex(found) for found in FILE["inclusion"][2]["proof"]] == [d, node(a, b), e]
