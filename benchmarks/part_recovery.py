"""(d) Seconds after kill -9 of each part: until it is ready, until the tap answers, until a new exchange is settled."""

import asyncio
import re
import time

from load import ask, request
from report import Table, of_rounds
from system import System, Tell, endpoint, system

PARTS = ("kafka", "clickhouse", "tap", "meter", "record", "seal")
_ID = re.compile(rb"\r\nx-penstock-exchange-id: *([^\r\n]+)", re.IGNORECASE)
_SETTLED = "SELECT count() FROM penstock.exchange_facts WHERE exchange_id = '{exchange}'"
_STEADY_S = 12.0
"""Longer than the supervisor waits before it takes a child for stable, so that each kill is a first one."""


async def measure(rounds: int, seconds: float, tell: Tell) -> list[Table]:
    """One kill at a time, each in a steady system."""
    columns = ("ready again s", "tap answers s", "exchange settled s")
    table = Table("After kill -9", columns)
    async with endpoint(0) as url, system(url, tell) as made:
        await _probe(made, "none")
        table.add("nothing killed", *(of_rounds(x) for x in zip(*[await _probe(made, "none")], strict=True)))
        for part in PARTS:
            found = []
            for number in range(rounds):
                tell(f"round {number + 1} of {rounds}: kill -9 {part}")
                await made.drained()
                await asyncio.sleep(_STEADY_S)
                found.append(await _probe(made, part))
            table.add(part, *(of_rounds(column) for column in zip(*found, strict=True)))
    table.notes.append(
        "`exchange settled`: the facts of the first exchange that the tap answered after the kill can be read from "
        "ClickHouse. A part is first started again 0.1 s after it died."
    )
    return [table]


async def _probe(made: System, part: str) -> tuple[float, float, float]:
    began = time.monotonic()

    async def ready() -> float:
        if part != "none":
            await made.deployment.crash(part)
        return time.monotonic() - began

    async def traffic() -> tuple[float, float]:
        exchange = await _answered(made)
        answered_s = time.monotonic() - began

        async def settled() -> bool:
            return bool((await made.query(_SETTLED.format(exchange=exchange)))[0][0])

        await made.patient(settled, f"{exchange} to be settled")
        return answered_s, time.monotonic() - began

    ready_s, (answered_s, settled_s) = await asyncio.gather(ready(), traffic())
    return ready_s, answered_s, settled_s


async def _answered(made: System) -> str:
    """The exchange of the first request that is answered."""
    port = made.port
    await asyncio.sleep(0.01)  # the kill comes first
    while True:
        try:
            answer = await ask(port, request(False, text="Say a word. {{endpoint tokens=5}}", last=True))
        except OSError:
            answer = b""
        found = _ID.search(answer)
        if found and answer.startswith(b"HTTP/1.1 200"):
            return found[1].decode()
        await asyncio.sleep(0.02)
