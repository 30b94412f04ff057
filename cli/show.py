"""`penstock show ID`: one exchange, or the bytes of one of its sides."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from penstock.schemas.errors import UsageError
from penstock.schemas.settings import load_settings
from penstock.trail.leaf import printable
from penstock.trail.show import Body, Exchanges, Side
from penstock.trail.show_text import event_json, event_lines, fact_lines


def run(
    exchange: Annotated[str, typer.Argument(help="the exchange's id, or how it begins")],
    config: Annotated[Path | None, typer.Option(help="penstock.yaml")] = None,
    raw_response: Annotated[bool, typer.Option("--raw-response", help="the upstream's body, byte for byte")] = False,
    client_response: Annotated[bool, typer.Option("--client-response", help="what the client got")] = False,
    raw_request: Annotated[bool, typer.Option("--raw-request", help="the request's body")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Show what was asked, what came back and when, what it used, and what ended it. Exit 1 where there is no such
    exchange, where its bytes are not all there, or where they are not what was recorded."""
    chosen: dict[Side, bool] = {
        "raw-response": raw_response,
        "client-response": client_response,
        "raw-request": raw_request,
    }
    sides = [side for side, wanted in chosen.items() if wanted]
    if len(sides) + as_json > 1:
        raise UsageError("choose one of --raw-response, --client-response, --raw-request and --json")
    exchanges = Exchanges(load_settings(config))
    try:
        found = exchanges.find(exchange)
        if sides:
            _raw(exchanges, found, sides[0])
        elif as_json:
            _json(exchanges, found)
        else:
            for line in fact_lines(found, exchanges.facts(found)):
                print(line)
            for line in event_lines(exchanges.events(found)):
                print(line)
        _doubt(exchanges)
    finally:
        exchanges.close()


def _raw(exchanges: Exchanges, exchange_id: str, side: Side) -> None:
    body = Body(side)
    for event in exchanges.events(exchange_id):
        sys.stdout.buffer.write(body.feed(event))
    sys.stdout.buffer.flush()
    doubt = body.doubt()
    if doubt and not exchanges.doubts:
        print(f"penstock: {exchange_id}: {doubt}", file=sys.stderr)
        raise typer.Exit(1)


def _doubt(exchanges: Exchanges) -> None:
    for doubt in exchanges.doubts:
        print(f"penstock: {printable(doubt)}", file=sys.stderr)
    if exchanges.doubts:
        print("penstock: `penstock verify` tells more", file=sys.stderr)
        raise typer.Exit(1)


def _json(exchanges: Exchanges, exchange_id: str) -> None:
    facts = exchanges.facts(exchange_id)
    content = {
        "exchange_id": exchange_id,
        "exchange": facts.exchange,
        "attribution": facts.attribution,
        "kills": facts.kills,
        "events": [event_json(event) for event in exchanges.events(exchange_id)],
    }
    print(json.dumps(content, default=str))
