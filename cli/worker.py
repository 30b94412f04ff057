"""`penstock worker NAME`: runs one worker until it is told to stop."""

import importlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from penstock.schemas.settings import load_settings


class Name(StrEnum):
    """The workers that there are; each is a file of `streams` with a function `build_app`."""

    METER = "meter"
    RECORD = "record"


def run(
    name: Annotated[Name, typer.Argument(help="which worker")],
    instance: Annotated[int, typer.Option(min=0, help="its number: stable for a replica, and unique per worker")] = 0,
    config: Annotated[Path | None, typer.Option(help="penstock.yaml")] = None,
) -> None:
    """Run a worker; more instances share the partitions."""
    from penstock.streams.app import run_app

    settings = load_settings(config)
    module = importlib.import_module(f"penstock.streams.{name.value}")
    run_app(module.build_app(settings, instance), settings, name.value, instance)
