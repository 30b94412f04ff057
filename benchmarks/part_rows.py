"""(b) From a chunk at the tap to its row: `recorded_at` - `occurred_at` of events_log, at steady rates."""

import asyncio
import time

from load import drive, request, serve_mock, spawn
from report import Table, of_rounds
from system import System, Tell, system

RATES_PER_S = (100, 1000, 5000)
PACE_PER_S = 50
_ROWS = """
    SELECT count(), quantileExact(0.5)(ms), quantileExact(0.99)(ms), max(ms) FROM (
        SELECT dateDiff('microsecond', occurred_at, recorded_at) / 1000 AS ms FROM penstock.events_log FINAL
        WHERE kind = 'chunk' AND occurred_at >= fromUnixTimestamp64Micro({first})
            AND occurred_at < fromUnixTimestamp64Micro({last})
    )
"""


async def measure(rounds: int, seconds: float, tell: Tell) -> list[Table]:
    """Each rate for at least ten seconds a round; the first second, in which streams begin, is left out."""
    mock, upstream = spawn(serve_mock, "")
    columns = ("events/s seen", "p50 ms", "p99 ms", "max ms")
    table = Table("From a chunk at the tap to its row", columns)
    try:
        async with system(f"http://127.0.0.1:{upstream}", tell) as made:
            await drive(made.port, request(True), stream=True, connections=2, seconds=1)
            for rate in RATES_PER_S:
                tell(f"{rate} events a second")
                found = [await _one(made, rate, max(10.0, seconds)) for _ in range(rounds)]
                table.add(f"{rate:,} events/s", *(of_rounds(column) for column in zip(*found, strict=True)))
    finally:
        mock.terminate()
        mock.join()
    table.notes.append(
        "`recorded_at` is the moment at which the record worker hands the block of rows to the store; the row can be "
        "read once the store has written it. Both times are of one clock."
    )
    return [table]


async def _one(made: System, rate: int, seconds: float) -> tuple[float, float, float, float]:
    await made.drained()
    first = time.time_ns() // 1000 + 1_000_000
    last = first + int((seconds - 1) * 1e6)
    data = request(True, pace=PACE_PER_S)
    await drive(made.port, data, stream=True, connections=rate // PACE_PER_S, seconds=seconds)
    await asyncio.sleep(0.5)
    await made.drained()
    [(count, middle, slow, worst)] = await made.query(_ROWS.format(first=first, last=last))
    return count / (seconds - 1), float(middle), float(slow), float(worst)
