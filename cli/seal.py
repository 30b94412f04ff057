"""`penstock seal`: numbers and signs the leaves of the trail."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from penstock.schemas.settings import load_settings
from penstock.trail.seal import seal, seal_once

from .logs import json_logs


def run(
    config: Annotated[Path | None, typer.Option(help="penstock.yaml")] = None,
    once: Annotated[bool, typer.Option("--once", help="seal and sign what is there now, then end")] = False,
) -> None:
    """Seal until stopped: every row gets its leaf, and every few seconds the tree is signed."""
    json_logs()
    settings = load_settings(config)
    asyncio.run(seal_once(settings) if once else seal(settings))
