"""How many tokens a picture costs in an OpenAI prompt: by its size, as far as the request itself tells it.

Rules: OpenAI guide "Images and vision", section "Calculating costs". Sizes are read from the headers of PNG (RFC 2083),
JPEG (ITU T.81), GIF (89a) and WebP (RFC 9649) data URLs; a picture behind a link is taken as 1024 x 1024.
"""

import base64
import binascii
import math
import struct
from typing import Final

UNKNOWN_SIZE: Final = (1024, 1024)
_HEAD_CHARS: Final = 65_536
"""Enough of a data URL to meet the size, and a multiple of 4."""

_TILES: Final = (
    ("gpt-4o-mini", 2833, 5667),
    ("gpt-5", 70, 140),
    ("o1", 75, 150),
    ("o3", 75, 150),
    ("computer-use", 65, 129),
)
_DEFAULT_TILES: Final = (85, 170)
_PATCHES: Final = (
    ("gpt-4.1-mini", 1.62),
    ("gpt-4.1-nano", 2.46),
    ("gpt-5-mini", 1.62),
    ("gpt-5-nano", 2.46),
    ("o4-mini", 1.72),
)
_PATCHES_MAX: Final = 1536


def image_tokens(model: str, url: str, detail: str) -> int:
    """Tokens of one picture for a model whose name starts as OpenAI's do."""
    size = image_size(url) or UNKNOWN_SIZE
    for name, factor in _PATCHES:
        if model.startswith(name):
            return math.ceil(_patches(*size) * factor)
    base, tile = next(((b, t) for name, b, t in _TILES if model.startswith(name)), _DEFAULT_TILES)
    return base if detail == "low" else base + tile * _tiles(*size)


def _tiles(width: int, height: int) -> int:
    """512-pixel tiles after the picture is made to fit 2048 x 2048, its shorter side at most 768."""
    shrink = min(1.0, 2048 / max(width, height))
    shrink *= min(1.0, 768 / (min(width, height) * shrink))
    return math.ceil(width * shrink / 512) * math.ceil(height * shrink / 512)


def _patches(width: int, height: int) -> int:
    """32-pixel patches, at most 1536 of them."""
    return min(_PATCHES_MAX, math.ceil(width / 32) * math.ceil(height / 32))


def image_size(url: str) -> tuple[int, int] | None:
    """Width and height of the picture in a data URL; None where it is a link or cannot be read."""
    head, separator, content = url[: _HEAD_CHARS + 128].partition(";base64,")
    if not separator or not head.startswith("data:image/"):
        return None
    content = content[: min(len(content), _HEAD_CHARS) // 4 * 4]
    try:
        size = _size(base64.b64decode(content))
    except (binascii.Error, struct.error, ValueError):
        return None
    return size if size and all(size) else None


def _size(data: bytes) -> tuple[int, int] | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _pair(">II", data, 16)
    if data.startswith(b"GIF8"):
        return _pair("<HH", data, 6)
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    return None


def _pair(layout: str, data: bytes, at: int) -> tuple[int, int]:
    first, second = struct.unpack_from(layout, data, at)
    return int(first), int(second)


def _jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = _pair(">HH", data, at + 5)
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    match data[12:16]:
        case b"VP8X":
            return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
        case b"VP8 ":
            width, height = _pair("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None
