"""Measures a whole system on this machine, with the embedded Kafka and ClickHouse: `make bench`.

    python benchmarks/pipeline.py [--only a,b] [--rounds 3] [--seconds 2] [--out FILE]

a  what the tap adds to requests and chunks        b  from a chunk to its row
c  from passing a limit to the cut                 d  recovery after kill -9

Every part starts a system of its own in a temporary folder. Figures are medians of the rounds with lowest and highest
beside them. Nothing here passes or fails.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import part_cuts
import part_recovery
import part_rows
import part_tap
import uvloop
from report import Table, machine, noise
from system import Tell

from penstock.schemas.errors import PenstockError

Measure = Callable[[int, float, Tell], Awaitable[list[Table]]]
PARTS: dict[str, Measure] = {
    "a": part_tap.measure,
    "b": part_rows.measure,
    "c": part_cuts.measure,
    "d": part_recovery.measure,
}


def main() -> None:
    """Progress goes to stderr, results to stdout as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round's load")
    parser.add_argument("--out", type=Path, help="write the results as JSON too")
    given = parser.parse_args()
    wanted = [part.strip() for part in given.only.split(",") if part.strip()]
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"--only takes {', '.join(PARTS)}, not {', '.join(sorted(unknown))}")
    if given.rounds < 1 or given.seconds <= 0:
        parser.error("--rounds and --seconds are at least 1, and more than 0")
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['system']}, Python {facts['python']}, {facts['at']}\n")
    try:
        tables = uvloop.run(_run(wanted, given.rounds, given.seconds))
    except (PenstockError, TimeoutError) as error:
        sys.exit(f"bench: {error}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("bench: stopped; nothing is left running")
    facts["load_after"] = round(os.getloadavg()[0], 2)
    print(noise(tables, facts))
    if given.out is not None:
        given.out.write_text(json.dumps(_json(facts, given, tables), indent=2) + "\n")


async def _run(wanted: list[str], rounds: int, seconds: float) -> list[Table]:
    began, tables = time.monotonic(), list[Table]()
    if (task := asyncio.current_task()) is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    for number, part in enumerate(wanted, 1):

        def tell(line: str, part: str = part, number: int = number) -> None:
            took_s = time.monotonic() - began
            print(f"[{took_s:5.0f} s] part {part}, {number} of {len(wanted)}: {line}", file=sys.stderr, flush=True)

        found = await PARTS[part](rounds, seconds, tell)
        for table in found:
            print(table.text(), flush=True)
        tables += found
    return tables


def _json(facts: dict[str, Any], given: argparse.Namespace, tables: list[Table]) -> dict[str, Any]:
    return {
        "machine": facts,
        "rounds": given.rounds,
        "seconds": given.seconds,
        "noise": noise(tables, facts),
        "tables": [table.json() for table in tables],
    }


if __name__ == "__main__":
    main()
