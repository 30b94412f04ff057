"""Orders no longer arrive: the policy says what becomes of new requests, and of those that run."""

import asyncio
from typing import Any

import pytest

from penstock.gateway_tap.loss import heed_loss
from penstock.schemas.policy import Failures

from .processes import LAST, Held, ask


@pytest.mark.parametrize(
    ("mode", "says", "silent_s", "status", "ends"),
    [
        ("enforce", "deny_all", 31.0, 503, True),
        ("enforce", "deny_new", 31.0, 503, False),
        ("enforce", "allow", 31.0, 200, False),
        ("enforce", "deny_all", 29.0, 200, False),
        ("observe", "deny_all", 31.0, 200, False),
    ],
)
async def test_what_the_policy_says_of_silence(
    tap: Any, upstream: Any, answer: Any, mode: str, says: Any, silent_s: float, status: int, ends: bool
) -> None:
    held = Held()
    gate = await tap((await upstream(held)).url, mode=mode)
    reader, writer = await gate.connect()
    writer.write(ask())
    await reader.readuntil(b"one begins")
    heed_loss(gate.core, Failures(on_control_loss=says, control_loss_after_s=30), silent_s)
    other_reader, other_writer = await gate.connect()
    other_writer.write(ask())
    if ends:
        assert not (await asyncio.wait_for(reader.read(), 5)).endswith(LAST)
        await asyncio.wait_for(held.gone.wait(), 5)
        assert gate.completions()[0].outcome == "tap_error"
    held.go_on.set()
    assert (await answer(other_reader))[0] == status
    if not ends:
        assert b"one ends" in await reader.readuntil(LAST)
    heed_loss(gate.core, Failures(on_control_loss=says), 0.0)
    other_reader, other_writer = await gate.connect()
    other_writer.write(ask())
    assert (await answer(other_reader))[0] == 200
