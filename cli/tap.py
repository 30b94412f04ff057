"""`penstock tap`: runs the gateway tap in this process."""

import functools
from pathlib import Path
from typing import Annotated

import typer

from penstock.schemas.errors import SettingsError
from penstock.schemas.settings import Settings, load_settings

from .logs import json_logs


def run(
    config: Annotated[Path | None, typer.Option(help="penstock.yaml")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="processes on one port; else tap.workers")] = None,
    worker: Annotated[int | None, typer.Option(min=1, hidden=True)] = None,
) -> None:
    """Run the gateway tap until it is told to stop (SIGTERM lets running exchanges end, SIGHUP reloads)."""
    settings = _load(config, worker)
    json_logs()
    wanted = workers or settings.tap.workers
    if worker is None and wanted > 1:
        from penstock.local import taps

        taps.run(settings, wanted, ("--config", str(config)) if config else ())
        return
    from penstock.gateway_tap import app

    name = "tap" if worker is None else f"tap-{worker}"
    app.run(functools.partial(_load, config, worker), name, shared=worker is not None)


def _load(config: Path | None, worker: int | None) -> Settings:
    """The settings; those of process number `worker` of several, each of which is a tap of its own."""
    settings = load_settings(config)
    if not settings.upstreams:
        raise SettingsError("upstreams: name at least one model endpoint; penstock.example.yaml shows how")
    if worker is None:
        return settings
    tap = settings.tap.model_copy(update={"id": f"{settings.tap.id}-{worker}"})
    return settings.model_copy(update={"tap": tap})
