"""`penstock status`: what runs, and how far behind it is."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.settings import load_settings
from penstock.trail.status import GROUPS, Status, read_status


def run(
    config: Annotated[Path | None, typer.Option(help="penstock.yaml")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Every part, the workers' lag, the last checkpoint, gaps and dead letters. Exit 3 where a part is missing."""
    status = asyncio.run(read_status(load_settings(config)))
    if as_json:
        print(json.dumps(status.to_json()))
    else:
        _print(status)
    if not status.complete:
        raise typer.Exit(ServiceUnavailable.exit_code)


def _print(status: Status) -> None:
    for part in status.parts:
        print(f"{'up  ' if part.up else 'DOWN'} {part.name:<11} {part.says}")
        stale = {name: value for name, value in part.facts.items() if "stale" in name}
        for name, value in stale.items():
            print(f"     {name}: {value}")
    for group in GROUPS:
        print(f"lag  {group}: {_lag(status.lag.get(group))}")
    print(f"last checkpoint: {_checkpoint(status)}")
    for name, count in (
        ("unprotected rows", status.unprotected),
        ("gaps", status.gaps),
        ("dead letters", status.dead_letters),
    ):
        print(f"{name}: {'unknown' if count is None else f'{count:,}'}")


def _lag(behind: dict[str, int] | None) -> str:
    if behind is None:
        return "unknown"
    if not behind:
        return "it has acknowledged nothing yet"
    return ", ".join(f"{topic} {count:,}" for topic, count in sorted(behind.items()) if count) or "none"


def _checkpoint(status: Status) -> str:
    found = status.checkpoint
    if found is None:
        return "none yet"
    if "error" in found:
        return f"cannot be trusted: {found['error']}"
    return f"{found['size']:,} leaves, {found['age_s']} s ago"
