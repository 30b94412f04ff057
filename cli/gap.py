"""`penstock gap`: what the trail names as missing, and the decision to go on without it."""

import asyncio
import getpass
import json
import sys
import time
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from penstock.schemas.errors import UsageError
from penstock.schemas.settings import load_settings
from penstock.trail.gap import GapOnRecord, accept, find_lost, read_gaps

app = typer.Typer(no_args_is_help=True, add_completion=False)
Config = Annotated[Path | None, typer.Option(help="penstock.yaml")]
PIPE_COLUMNS: Final = 200
"""How wide a table is where no terminal says so."""


class Worker(StrEnum):
    """The workers whose group may have lost records."""

    METER = "meter"
    RECORD = "record"


@app.callback()
def gap() -> None:
    """What is known to be missing, and the decision to go on without it."""


@app.command("list")
def list_(config: Config = None, as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False) -> None:
    """List the gaps that the trail names, oldest first."""
    found = read_gaps(load_settings(config))
    if as_json:
        print(json.dumps([asdict(one) for one in found]))
        return
    if not found:
        print("no gap is on record")
        return
    table = Table("at", "act", "subject", "missing", "cause or reason", "actor", box=None, pad_edge=False)
    for one in found:
        table.add_row(one.at, one.act, one.subject, _missing(one), _cause(one), one.actor)
    Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS).print(table)


@app.command("accept")
def accept_(
    worker: Annotated[Worker, typer.Argument(help="the worker that refuses to start")],
    yes: Annotated[bool, typer.Option("--yes", help="do it; without, only say what would be done")] = False,
    reason: Annotated[str, typer.Option(help="why the loss is accepted; it is kept in the trail")] = "",
    config: Config = None,
) -> None:
    """Let a worker go on though Kafka no longer has records that it has yet to read; the loss goes on record.

    Exit 1 where something is lost and --yes was not given.
    """
    if yes and not reason.strip():
        raise UsageError("--yes needs --reason TEXT: it is kept in the trail")
    settings = load_settings(config)
    group = f"penstock-{worker.value}"
    losses = asyncio.run(find_lost(settings, group))
    if not losses:
        print(f"{group}: Kafka holds every record that it has yet to read; there is nothing to accept")
        return
    print(f"{group} has not read, and Kafka no longer has:")
    for lost in losses:
        print(f"  {lost}")
    if not yes:
        print("with --yes --reason TEXT this goes on record and the worker begins behind it; nothing was done")
        raise typer.Exit(1)
    asyncio.run(accept(settings, losses, f"cli:{getpass.getuser()}", reason.strip(), time.time_ns() // 1000))
    print(f"on record; `penstock worker {worker.value}` may be started")


def _missing(one: GapOnRecord) -> str:
    found = one.details
    for first, last in (("first_offset", "last_offset"), ("first", "last")):
        if first in found:
            return f"offsets {found[first]}–{found.get(last)}"
    if "events" in found:
        return f"{found['events']} events"
    return "one record"


def _cause(one: GapOnRecord) -> str:
    return one.reason or str(one.details.get("cause", ""))
