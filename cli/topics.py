"""`penstock topics`: creates the topics, or checks that they are right."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from penstock.schemas.settings import load_settings
from penstock.schemas.topics import TOPICS
from penstock.trail.topics import ensure_topics


def run(
    config: Annotated[Path | None, typer.Option(help="penstock.yaml")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Create the topics that are missing; exit 3 where one is laid out wrongly."""
    created = asyncio.run(ensure_topics(load_settings(config)))
    if as_json:
        print(json.dumps({"topics": [topic.name for topic in TOPICS], "created": created}))
        return
    for name in created:
        print(f"created {name}")
    print(f"{len(TOPICS)} topics are as they should be")
