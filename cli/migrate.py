"""`penstock migrate`: brings the tables of the store up to date."""

import json
from pathlib import Path
from typing import Annotated

import typer

from penstock.schemas.settings import load_settings
from penstock.trail.migrate import migrate


def run(
    config: Annotated[Path | None, typer.Option(help="penstock.yaml")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Apply the migrations that the store lacks."""
    applied = migrate(load_settings(config))
    if as_json:
        print(json.dumps({"applied": applied}))
    else:
        print("\n".join(f"applied {name}" for name in applied) or "the tables are up to date")
