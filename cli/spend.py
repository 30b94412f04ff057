"""`penstock spend`: who used how much."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from penstock.schemas.settings import load_settings
from penstock.trail.leaf import printable
from penstock.trail.spend import Spend, read_since, read_spend

PIPE_COLUMNS: Final = 160
"""How wide a table is where no terminal says so."""


def run(
    by: Annotated[str, typer.Option(help="team, model, key, app, user, org; several with commas")] = "team",
    since: Annotated[str | None, typer.Option(help="1d, 6h, 15m, or a date; default: all")] = None,
    config: Annotated[Path | None, typer.Option(help="penstock.yaml")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Requests, tokens by kind with their sources, cost, and what was killed or blocked."""
    groups = [name.strip() for name in by.split(",") if name.strip()]
    moment = read_since(since, datetime.now(UTC)) if since else None
    found = read_spend(load_settings(config), groups, moment)
    if as_json:
        print(json.dumps([spend.to_json() for spend in found]))
    elif not found:
        print("no exchange was settled in that time")
    else:
        console = Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS)
        console.print(_table(groups, found))


def _table(groups: list[str], found: list[Spend]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in groups:
        table.add_column(name, overflow="fold")
    for name in ("requests", "input", "output", "cost USD", "sources", "killed", "blocked"):
        table.add_column(name, justify="right")
    for spend in found:
        table.add_row(
            *(Text(printable(spend.group[name]) or "–") for name in groups),
            f"{spend.requests:,}",
            _of(spend.input_tokens, spend.cached_tokens, "cached"),
            _of(spend.output_tokens, spend.reasoning_tokens, "reasoning"),
            spend.cost,
            _sources(spend),
            str(spend.killed),
            str(spend.blocked),
        )
    return table


def _of(tokens: int, part: int, name: str) -> str:
    return f"{tokens:,} ({part:,} {name})" if part else f"{tokens:,}"


def _sources(spend: Spend) -> str:
    tokens = {
        "reported": spend.reported_tokens,
        "counted": spend.counted_tokens,
        "estimated": spend.estimated_tokens,
    }
    return ", ".join(f"{name} {spend.share(count)}" for name, count in tokens.items() if count) or "–"
