"""Commitments: fixed vectors, and that every part counts."""

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas.commitment import CONTEXT, commitment, traffic_attributes


def test_the_layout_written_out() -> None:
    """HMAC-SHA256 of RFC 2104, by hashlib's own blocks: nothing is left to `hmac.digest`."""
    salt, who, what, body = bytes(range(16)), b"key:a", b"chunk\nupstream\n0\n0\n", b"data: x\n\n"
    message = CONTEXT + b"\0\0\0\x05" + who + b"\0\0\0\x13" + what + body
    key = salt.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in key) + message).digest()
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in key) + inner).digest()
    assert commitment(salt, who.decode(), traffic_attributes("chunk", "upstream", 0, False, ""), body) == outer


def test_fixed_vectors() -> None:
    assert commitment(bytes(16), "key:a", "penstock.audit.v1", b"{}").hex() == (
        "7ff41c0a9e9ec9e7139b22e39043b2792cd5f4b6e6001db3a912ee4812ec5102"
    )
    assert commitment(b"", "key|a", "tombstone", b"").hex() == (
        "811bf7ac67d0abad80562678667e0d6fe717df7f55d4d7073aa13f5173af16c6"
    )


@given(st.binary(min_size=16, max_size=16), st.text(), st.text(), st.text(), st.text(), st.binary(), st.binary())
def test_no_two_contents_share_a_message(salt: bytes, a: str, b: str, c: str, d: str, x: bytes, y: bytes) -> None:
    same = (a, b, x) == (c, d, y)
    assert hmac.compare_digest(commitment(salt, a, b, x), commitment(salt, c, d, y)) == same


def test_attributes_cover_what_a_reader_is_shown() -> None:
    plain = traffic_attributes("chunk", "upstream", 0, False, "")
    others = [
        traffic_attributes("prompt", "upstream", 0, False, ""),
        traffic_attributes("chunk", "tap", 0, False, ""),
        traffic_attributes("chunk", "upstream", 1, False, ""),
        traffic_attributes("chunk", "upstream", 0, True, ""),
        traffic_attributes("chunk", "upstream", 0, False, "1-2"),
    ]
    assert len({plain, *others}) == 6
