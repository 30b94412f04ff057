"""`penstock tap`: runs the gateway tap in this process."""

from pathlib import Path
from typing import Annotated

import typer

from penstock.schemas.errors import SettingsError
from penstock.schemas.settings import load_settings

from .logs import json_logs


def run(config: Annotated[Path | None, typer.Option(help="penstock.yaml")] = None) -> None:
    """Run the gateway tap until it is told to stop (SIGTERM lets running exchanges end)."""
    settings = load_settings(config)
    if not settings.upstreams:
        raise SettingsError("upstreams: name at least one model endpoint; penstock.example.yaml shows how")
    from penstock.gateway_tap import app

    json_logs()
    app.run(settings)
