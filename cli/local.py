"""`penstock local kafka` and `penstock local clickhouse`: one embedded service alone, until Control-C."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from penstock.schemas.settings import load_settings

from .logs import json_logs

app = typer.Typer(no_args_is_help=True, add_completion=False)
Listen = Annotated[str | None, typer.Option(help="HOST:PORT on loopback; port 0: any free one")]
State = Annotated[Path | None, typer.Option(help="state folder; default: the one in penstock.yaml")]
Config = Annotated[Path | None, typer.Option(help="penstock.yaml")]


@app.callback()
def local() -> None:
    """Run one embedded service alone, on loopback, until Control-C."""


@app.command()
def kafka(listen: Listen = None, state: State = None, config: Config = None) -> None:
    """Apache Kafka 4.1, one KRaft node. Its address: <state>/run/kafka.json."""
    from penstock.local.kafka import run_kafka

    json_logs()
    settings = load_settings(config)
    given = settings.kafka.embedded.listen if settings.kafka.embedded else "127.0.0.1:9092"
    asyncio.run(run_kafka(listen or given, (state or settings.state).resolve()))


@app.command()
def clickhouse(listen: Listen = None, state: State = None, config: Config = None) -> None:
    """The ClickHouse engine behind its HTTP dialect. Address and passwords: <state>/run/clickhouse.json."""
    from penstock.local.store import run_store

    json_logs()
    settings = load_settings(config)
    given = settings.clickhouse.embedded
    address = listen or (given.listen if given else "127.0.0.1:8123")
    fsync, open_reads = (given.fsync, given.open_reads) if given else (True, True)
    asyncio.run(run_store(address, (state or settings.state).resolve(), open_reads, fsync))
