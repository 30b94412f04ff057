"""Edge: the demo: the whole system on this machine for a minute, and every claim checked.

Starts the local endpoint and a deployment of its own, drives the teams' programs through the tap, waits until all is
settled and sealed, and holds the trail against the endpoint's record. Nothing outlives it.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from penstock.schemas.addresses import read_run_file
from penstock.schemas.settings import Settings
from penstock.trail.spend import Spend, read_spend
from penstock.trail.store import connect, store_errors
from penstock.trail.verify import verify

from .demo_calls import Outcome, conversations
from .demo_checks import Evidence, check_all
from .demo_clients import run_conversations
from .demo_report import Report
from .demo_setup import fresh_folder, write_deployment
from .demo_store import read_kills, read_stored, wait_until_sealed
from .deployment import COMMANDS, Deployment
from .endpoint import Endpoint
from .endpoint_record import read_sent

FOLDER: Final = Path(".penstock/demo")
STARTED, DRIVEN, SEALED = 0.35, 0.7, 0.9
"""How much of the whole is done after starting, after the traffic, and after sealing."""


class Watcher(Protocol):
    """Hears what is being done, with the share of the whole that is behind it, and what is done."""

    def doing(self, what: str, share: float) -> None: ...

    def done(self, what: str) -> None: ...


async def run_demo(folder: Path, watcher: Watcher) -> Report:
    """Runs the demo in `folder`, which is emptied first, and writes `report.json` there."""
    began_s = time.monotonic()
    fresh_folder(folder)
    record = folder / "endpoint.jsonl"
    async with Endpoint(record) as endpoint:
        config, credentials = write_deployment(folder, endpoint.url)
        watcher.doing("starting Kafka and ClickHouse", 0.0)
        async with Deployment(config, _starting(watcher)) as deployment:
            outcomes = await _drive(deployment.settings, credentials, watcher)
            await endpoint.idle()
            report = await asyncio.to_thread(_judge, deployment.settings, record, outcomes, watcher)
    report = replace(report, duration_s=time.monotonic() - began_s)
    (folder / "report.json").write_text(json.dumps(report.json(), indent=2) + "\n")
    return report


def _starting(watcher: Watcher) -> Callable[[str], None]:
    """Passes on what the deployment tells; what is ready moves the bar."""
    ready: list[str] = []

    def tell(line: str) -> None:
        watcher.done(line)
        ready.append(line)
        watcher.doing("starting the system", min(1.0, len(ready) / (len(COMMANDS) + 1)) * STARTED)

    return tell


async def _drive(settings: Settings, credentials: dict[str, str], watcher: Watcher) -> list[Outcome]:
    programs, ended = conversations(), list[Outcome]()
    total = sum(map(len, programs))

    def heard(outcome: Outcome) -> None:
        ended.append(outcome)
        watcher.doing(f"{len(ended)} of {total} exchanges", STARTED + len(ended) / total * (DRIVEN - STARTED))

    watcher.doing(f"{len(credentials)} teams talk to their models", STARTED)
    url = str(read_run_file(settings.run, "tap")["url"])
    outcomes = await run_conversations(programs, url, credentials, heard)
    watcher.done(f"{total} exchanges of {len(credentials)} teams through the tap, with the providers' own SDKs")
    return outcomes


def _judge(settings: Settings, record: Path, outcomes: list[Outcome], watcher: Watcher) -> Report:
    """Waits until all is sealed, and checks it."""
    watcher.doing("storing and sealing what was said", DRIVEN)
    client = connect(settings, "reader")
    try:
        with store_errors():
            wait_until_sealed(client, len(outcomes))
            stored, kills = read_stored(client), read_kills(client)
    finally:
        client.close()
    watcher.done("every event is stored and under a signed checkpoint")
    watcher.doing("checking", SEALED)
    verified = asyncio.run(verify(settings, None, None, lambda what, done, total: None))
    spend = read_spend(settings, ["team", "model"], None)
    evidence = Evidence(outcomes, read_sent(record), stored, kills, _by_team(spend), verified.ok)
    report = Report(evidence, check_all(evidence), spend, verified.leaves, 0)
    watcher.doing("stopping", 1.0)
    return report


def _by_team(spend: list[Spend]) -> dict[str, tuple[int, int]]:
    totals = dict[str, tuple[int, int]]()
    for row in spend:
        before = totals.get(row.group["team"], (0, 0))
        totals[row.group["team"]] = (before[0] + row.input_tokens, before[1] + row.output_tokens)
    return totals
