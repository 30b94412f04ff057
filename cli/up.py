"""`penstock up`: the whole system here, until Control-C."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from penstock.schemas.errors import SettingsError


def run(config: Annotated[Path | None, typer.Option(help="penstock.yaml")] = None) -> None:
    """Run the whole system here: Kafka, ClickHouse, topics, tables, tap, workers, seal. One Control-C stops all."""
    from penstock.local.up import run_up

    path = config or Path("penstock.yaml")
    if not path.exists():
        raise SettingsError(f"{path} is not there: `penstock init` writes it")
    asyncio.run(run_up(path, lambda line: print(line, flush=True)))
