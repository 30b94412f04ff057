"""Sizes are read from headers; what cannot be read has none."""

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.wire.images import image_size, image_tokens


def url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 1126, 488) + b"\x08\x02\x00\x00\x00"
JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08" + struct.pack(">HH", 488, 1126) + b"\x03\x01\x22\x00"
GIF = b"GIF89a" + struct.pack("<HH", 1126, 488)
VP8X = b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00" + (1125).to_bytes(3, "little")
WEBP = VP8X + (487).to_bytes(3, "little")
VP8 = b"RIFF\x00\x00\x00\x00WEBPVP8 \x00\x00\x00\x00\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 1126, 488)
VP8L = b"RIFF\x00\x00\x00\x00WEBPVP8L\x00\x00\x00\x00\x2f" + (1125 | 487 << 14).to_bytes(4, "little")


@pytest.mark.parametrize("data", [PNG, JPEG, GIF, WEBP, VP8, VP8L], ids=["png", "jpeg", "gif", "vp8x", "vp8", "vp8l"])
def test_size(data: bytes) -> None:
    assert image_size(url(data)) == (1126, 488)


@pytest.mark.parametrize(
    "link", ["https://example.org/x.png", "data:image/png;base64,", "data:text/plain;base64,aGk=", ""]
)
def test_no_size(link: str) -> None:
    assert image_size(link) is None


@given(data=st.binary(max_size=60), head=st.sampled_from([PNG[:16], JPEG[:9], GIF[:6], WEBP[:16], VP8[:16], VP8L[:16]]))
def test_never_raises(data: bytes, head: bytes) -> None:
    image_size(url(head + data))
    image_size("data:image/png;base64," + data.decode("latin-1"))


@pytest.mark.parametrize(
    ("model", "detail", "tokens"),
    [
        ("gpt-4o", "low", 85),
        ("gpt-4o", "auto", 85 + 170 * 3),
        ("gpt-4o-mini", "high", 2833 + 5667 * 3),
        ("o1", "high", 75 + 150 * 3),
        ("gpt-5", "high", 70 + 140 * 3),
        ("gpt-4.1-mini", "high", 934),
    ],
)
def test_tokens(model: str, detail: str, tokens: int) -> None:
    assert image_tokens(model, url(PNG), detail) == tokens


def test_a_link_is_taken_as_a_square_of_1024() -> None:
    assert image_tokens("gpt-4o", "https://example.org/x.png", "auto") == 85 + 170 * 4
