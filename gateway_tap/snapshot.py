"""Edge: the orders and key records that a tap held last, in `<state_dir>/taps/<tap id>.snapshot` (0600): what a tap in
mode observe starts with while Kafka is away.

Two lines: a MAC over the second, and JSON. A key record holds a keyed hash, never a key. Every order's own MAC is
checked again, and what has expired is dropped.
"""

import hmac
import os
from pathlib import Path
from typing import Final

import structlog
from pydantic import ValidationError

from penstock.schemas.control import Order, check_order
from penstock.schemas.errors import EventError
from penstock.schemas.events import Contract
from penstock.schemas.keys import KeyRecord

SAVE_EVERY_S: Final = 10.0

log = structlog.get_logger("penstock.tap.snapshot")


class Held(Contract):
    """What a tap held at `at_us`."""

    at_us: int
    orders: tuple[Order, ...] = ()
    keys: tuple[KeyRecord, ...] = ()


def load_snapshot(path: Path, secrets: list[bytes]) -> Held | None:
    """What was saved; None where there is nothing, or it was not made by this deployment (the log says so)."""
    try:
        mac, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("snapshot_ignored", reason=error.strerror)
        return None
    if not any(hmac.compare_digest(mac, _mac(body, secret)) for secret in secrets):
        log.warning("snapshot_ignored", reason="its MAC is wrong")
        return None
    try:
        held = Held.model_validate_json(body)
    except ValidationError:
        log.warning("snapshot_ignored", reason="another version wrote it")
        return None
    return held.model_copy(update={"orders": tuple(order for order in held.orders if _genuine(order, secrets))})


def save_snapshot(path: Path, held: Held, secret: bytes) -> None:
    """Replaces the file in one step. Blocks; OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    body = held.model_dump_json().encode()
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(_mac(body, secret) + b"\n" + body)
    fresh.replace(path)


def _genuine(order: Order, secrets: list[bytes]) -> bool:
    try:
        check_order(order, secrets)
    except EventError as error:
        log.warning("order_rejected", reason=str(error))
        return False
    return True


def _mac(body: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, b"penstock snapshot\n" + body, "sha256").hex().encode()
