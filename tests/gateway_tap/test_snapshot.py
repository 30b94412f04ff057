"""What a tap held last holds again while Kafka is away, if this deployment said it, until the topics say otherwise."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from penstock.gateway_tap.control import Control
from penstock.gateway_tap.snapshot import Held, load_snapshot, save_snapshot
from penstock.schemas.control import Order, sign_order
from penstock.schemas.keys import KeyRecord
from penstock.schemas.secrets import read_secret

from .processes import tap_process

SECRET = b"m" * 32
KEY = KeyRecord(id="k1", hash="hmac-sha256:" + "a" * 64)


def order(scope: str, expires_at_us: int = 9_000_000_000_000_000, secret: bytes = SECRET) -> Order:
    made = Order(
        order_id=scope,
        action="block",
        scope=scope,
        issuer="meter",
        rule="r",
        reason="used up",
        epoch=1,
        issued_at_us=1,
        expires_at_us=expires_at_us,
    )
    return sign_order(made, secret)


def test_it_is_kept_for_its_owner_alone_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "taps" / "tap-1.snapshot"
    assert load_snapshot(path, [SECRET]) is None
    held = Held(at_us=5, orders=(order("team:a"),), keys=(KEY,))
    save_snapshot(path, held, SECRET)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert load_snapshot(path, [b"n" * 32, SECRET]) == held


@pytest.mark.parametrize("damage", [b"", b"\n{}", b"00\n{}", b"changed"])
def test_what_others_wrote_is_not_believed(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "tap-1.snapshot"
    save_snapshot(path, Held(at_us=5, keys=(KEY,)), SECRET)
    path.write_bytes(path.read_bytes().replace(b"active", b"revoked") if damage == b"changed" else damage)
    assert load_snapshot(path, [SECRET]) is None


def test_an_order_must_prove_itself(tmp_path: Path) -> None:
    path = tmp_path / "tap-1.snapshot"
    save_snapshot(path, Held(at_us=5, orders=(order("team:a", secret=b"x" * 32), order("team:b"))), SECRET)
    held = load_snapshot(path, [SECRET])
    assert held is not None and [one.scope for one in held.orders] == ["team:b"]


async def test_it_holds_until_the_topics_have_been_read(tap: Any) -> None:
    core = (await tap()).core
    control = Control(core, [SECRET], dict)
    kept, gone, expired = order("team:kept"), order("team:gone"), order("team:expired", expires_at_us=2)
    control.start_with(Held(at_us=5, orders=(kept, gone, expired), keys=(KEY,)))
    assert sorted(one.scope for one in core.orders.live()) == ["team:gone", "team:kept"]
    assert core.keys.find(KEY.hash) == KEY
    control.take_order(kept.key, kept.model_dump_json().encode())
    control.confirm()
    assert [one.scope for one in core.orders.live()] == ["team:kept"]
    assert core.keys.find(KEY.hash) is None
    assert control.held().orders == (kept,)


@pytest.mark.parametrize(("mode", "status", "taken"), [("observe", 200, True), ("enforce", 503, False)])
async def test_a_tap_starts_with_it_in_observe_alone(tmp_path: Path, mode: str, status: int, taken: bool) -> None:
    async with tap_process(tmp_path, "http://127.0.0.1:9") as tap:
        secret = read_secret("control_mac", tap.settings.secrets.control_mac, tap.settings.state).current
        save_snapshot(tap.settings.state / "taps" / "tap-1.snapshot", Held(at_us=5, keys=(KEY,)), secret)
    (tap.settings.run / "tap.json").unlink()
    async with tap_process(tmp_path, "http://127.0.0.1:9", tap={"mode": mode}) as tap:
        found, body = await tap.get("/readyz", tap.authorization)
        assert (found, json.loads(body)["stale"]) == (status, True)
        assert ("snapshot_taken" in tap.log()) is taken
