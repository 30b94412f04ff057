"""Signed notes: text, a blank line, and signature lines (c2sp.org/signed-note). Pure.

Two kinds of signature are made and checked, both with one Ed25519 key: type 0x01 over the text, and type 0x04 over the
text and a time (c2sp.org/tlog-cosignature), which dates a note without adding a line to it.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from penstock.schemas.errors import TrailError, UsageError

PLAIN: Final = 0x01
TIMED: Final = 0x04
SIGNATURES_MAX: Final = 64
_DASH: Final = "\u2014 "


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key and its name. Written as `<name>+<key id in hex>+<base64 of type and key>`."""

    name: str
    public: bytes

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes((PLAIN,)) + self.public).decode()
        return f"{self.name}+{key_id(self.name, PLAIN, self.public).hex()}+{encoded}"


@dataclass(frozen=True, slots=True)
class Opened:
    """A note whose signature was verified. `time_s` is the signed time (UTC, since the epoch), None without one."""

    text: str
    signer: Verifier
    time_s: int | None


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """The four bytes by which a signature line names its key and its type."""
    return hashlib.sha256(name.encode() + b"\n" + bytes((kind,)) + public).digest()[:4]


def verifier_of(name: str, seed: bytes) -> Verifier:
    """The public side of the Ed25519 key with this 32-byte seed (RFC 8032)."""
    return Verifier(name, Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw())


def read_verifier(line: str) -> Verifier:
    """A verifier from its text. UsageError where it is none, or where its key id is another key's."""
    name, hexed, encoded = [*line.strip().split("+", 2), "", ""][:3]
    try:
        kind, public = _split_key(base64.b64decode(encoded, validate=True))
        wrong = bytes.fromhex(hexed) != key_id(name, kind, public)
    except ValueError as error:
        raise UsageError("a public key reads <name>+<8 hex digits>+<base64>: `penstock seal` writes one") from error
    if wrong or not name:
        raise UsageError(f"the public key of {name or 'nobody'} was altered: its key id is not of its bytes")
    return Verifier(name, public)


def sign(text: str, name: str, seed: bytes, time_s: int | None = None) -> str:
    """`text` as a note signed by the Ed25519 key with this seed; with a time, also signed together with that time.

    `text` ends in a newline and holds no control character; ValueError otherwise.
    """
    if not text.endswith("\n") or any(character < " " and character != "\n" for character in text):
        raise ValueError("the text of a note ends in a newline and holds no other control character")
    key, public = Ed25519PrivateKey.from_private_bytes(seed), verifier_of(name, seed).public
    lines = [_line(name, key_id(name, PLAIN, public) + key.sign(text.encode()))]
    if time_s is not None:
        stamp = time_s.to_bytes(8, "big")
        lines.append(_line(name, key_id(name, TIMED, public) + stamp + key.sign(_timed(text, time_s))))
    return text + "\n" + "".join(lines)


def open_note(note: str, verifiers: Sequence[Verifier]) -> Opened:
    """The text of `note`, signed by one of `verifiers`. TrailError where it is no note, where none of them signed it,
    or where a signature in one of their names is wrong; signatures by others are ignored."""
    text, lines = _parse(note)
    signer: Verifier | None = None
    time_s: int | None = None
    for name, blob in lines:
        for verifier in verifiers:
            if verifier.name != name:
                continue
            if blob[:4] == key_id(name, PLAIN, verifier.public):
                _check(verifier, blob[4:], text.encode())
                signer = verifier
            elif blob[:4] == key_id(name, TIMED, verifier.public):
                stamp = int.from_bytes(blob[4:12], "big")
                _check(verifier, blob[12:], _timed(text, stamp))
                time_s = stamp
    if signer is None:
        raise TrailError("no known key signed it")
    return Opened(text, signer, time_s)


def _parse(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    text, separator, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not separator or lines[-1] or not 1 < len(lines) <= SIGNATURES_MAX + 1:
        raise TrailError("it is no signed note")
    found = []
    for line in lines[:-1]:
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            blob = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise TrailError("a signature line is damaged") from error
        if not line.startswith(_DASH) or not name or not space or len(blob) < 5:
            raise TrailError("a signature line is damaged")
        found.append((name, blob))
    return text + "\n", found


def _check(verifier: Verifier, signature: bytes, message: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(verifier.public).verify(signature, message)
    except InvalidSignature as error:
        raise TrailError(f"the signature of {verifier.name} is wrong") from error


def _split_key(content: bytes) -> tuple[int, bytes]:
    if len(content) != 33 or content[0] != PLAIN:
        raise ValueError("not an Ed25519 key")
    return content[0], content[1:]


def _timed(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def _line(name: str, blob: bytes) -> str:
    return f"{_DASH}{name} {base64.b64encode(blob).decode()}\n"
