"""`penstock keys`: issues, revokes and lists the keys that callers identify themselves with."""

import asyncio
import getpass
import json
import re
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from penstock.gateway_tap import keyring
from penstock.schemas.errors import UsageError
from penstock.schemas.keys import KEY_ID, KeyRecord, key_hash
from penstock.schemas.secrets import read_secret
from penstock.schemas.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False)
Config = Annotated[Path | None, typer.Option(help="penstock.yaml")]
AsJson = Annotated[bool, typer.Option("--json", help="for programs")]
DAY_US = 86_400_000_000
PIPE_COLUMNS = 160
"""How wide a table is where no terminal says so."""


@app.callback()
def keys() -> None:
    """Issue, revoke or list keys. Only a keyed hash of a key is ever stored."""


@app.command()
def issue(
    team: Annotated[str, typer.Option(help="the team that is charged")] = "",
    org: Annotated[str, typer.Option(help="the organisation")] = "",
    app: Annotated[str, typer.Option(help="the application")] = "",
    user: Annotated[str, typer.Option(help="the person")] = "",
    service_account: Annotated[str, typer.Option(help="the service account")] = "",
    owner: Annotated[str, typer.Option(help="who answers for the key")] = "",
    key_id: Annotated[str, typer.Option("--id", help="id of the record; default: a fresh one")] = "",
    days: Annotated[
        int | None, typer.Option(min=1, max=36500, help="valid for so many days; default: until revoked")
    ] = None,
    credential_stdin: Annotated[
        bool, typer.Option("--credential-stdin", help="register a key that exists: read it from standard input")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Issue a key, shown once, or register a provider's key that is read from standard input."""
    settings = load_settings(config)
    now_us = time.time_ns() // 1000
    credential = _given() if credential_stdin else keyring.fresh_credential()
    if key_id and not re.fullmatch(KEY_ID, key_id):
        raise UsageError(f"--id {key_id!r}: write letters, digits and . _ @ -, 128 at most, a letter or digit first")
    record = KeyRecord(
        id=key_id or keyring.fresh_id(),
        hash=key_hash(credential.encode(), read_secret("pepper", settings.secrets.pepper, settings.state).current),
        org=org,
        team=team,
        app=app,
        user=user,
        service_account=service_account,
        owner=owner,
        created_at_us=now_us,
        expires_at_us=now_us + days * DAY_US if days is not None else None,
    )
    asyncio.run(_issue(settings, record, now_us))
    shown = {"id": record.id} if credential_stdin else {"id": record.id, "key": credential}
    if as_json:
        print(json.dumps(shown))
    elif credential_stdin:
        print(f"registered {record.id}")
    else:
        print(f"{record.id}: {credential}\nThis key is shown once and stored nowhere.")


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="id of the key")], config: Config = None) -> None:
    """Revoke a key: taps in mode enforce refuse it from now on."""
    asyncio.run(keyring.revoke(load_settings(config), key_id, _actor(), time.time_ns() // 1000))
    print(f"revoked {key_id}")


@app.command("list")
def list_(config: Config = None, as_json: AsJson = False) -> None:
    """List the key records; their hashes are not shown."""
    found = sorted(asyncio.run(keyring.read_keys(load_settings(config))).values(), key=lambda record: record.id)
    if as_json:
        print(json.dumps([record.model_dump(exclude={"hash"}) for record in found]))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("id", "state", "org", "team", "app", "user", "service account", "owner"):
        table.add_column(name, overflow="fold")
    for record in found:
        table.add_row(
            record.id,
            record.state,
            record.org,
            record.team,
            record.app,
            record.user,
            record.service_account,
            record.owner,
        )
    Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS).print(table)


async def _issue(settings: Settings, record: KeyRecord, now_us: int) -> None:
    known = await keyring.read_keys(settings)
    if record.id in known:
        raise UsageError(f"a key with the id {record.id!r} exists: choose another --id")
    if any(record.hash == other.hash for other in known.values()):
        raise UsageError("this credential is registered already: `penstock keys list` shows it")
    await keyring.put_key(settings, record, "key_issued", _actor(), now_us)


def _given() -> str:
    credential = sys.stdin.readline().strip()
    if not credential:
        raise UsageError("--credential-stdin: nothing came on standard input")
    return credential


def _actor() -> str:
    return f"cli:{getpass.getuser()}"
