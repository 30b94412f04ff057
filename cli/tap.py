"""`penstock tap`: runs the gateway tap in this process."""

import functools
from pathlib import Path
from typing import Annotated

import typer

from penstock.schemas.errors import SettingsError
from penstock.schemas.settings import Settings, load_settings

from .logs import json_logs


def run(config: Annotated[Path | None, typer.Option(help="penstock.yaml")] = None) -> None:
    """Run the gateway tap until it is told to stop (SIGTERM lets running exchanges end)."""
    load = functools.partial(_load, config)
    load()
    from penstock.gateway_tap import app

    json_logs()
    app.run(load)


def _load(config: Path | None) -> Settings:
    settings = load_settings(config)
    if not settings.upstreams:
        raise SettingsError("upstreams: name at least one model endpoint; penstock.example.yaml shows how")
    return settings
