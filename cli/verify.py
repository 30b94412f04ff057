"""`penstock verify`: checks the whole trail against its checkpoints."""

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from penstock.schemas.settings import load_settings
from penstock.trail.report import Report
from penstock.trail.verify import verify


def run(
    config: Annotated[Path | None, typer.Option(help="penstock.yaml")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="checkpoints that you hold outside; default: the sealer's")
    ] = None,
    key: Annotated[str | None, typer.Option(help="the public key, or a file of them; default: the sealer's")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Recompute everything that can be recomputed; exit 1 where anything was changed, removed, swapped or cut off."""
    report = asyncio.run(verify(load_settings(config), checkpoint, key, _progress))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    if as_json:
        print(json.dumps(report.to_json()))
    else:
        _print(report)
    if not report.ok:
        raise typer.Exit(1)


def _progress(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{what}: {done:,} of {max(done, total):,}", end="", file=sys.stderr, flush=True)


def _print(report: Report) -> None:
    when = "never"
    if report.last_checkpoint_s is not None:
        when = datetime.fromtimestamp(report.last_checkpoint_s, UTC).isoformat()
    print(f"log {report.origin}: {report.leaves:,} leaves, {report.checkpoints:,} checkpoints, the last at {when}")
    for key in report.keys:
        print(f"signed by:   {key}")
    print(f"protected:   {report.protected:,} rows, up to the last checkpoint")
    print(f"unprotected: {report.unprotected:,} rows, newer than it")
    print(
        f"events:      accepted {report.accepted:,} = stored {report.stored:,} + dead-lettered "
        f"{report.dead_lettered:,} + duplicates {report.duplicates:,} + named gaps {report.gap_events:,}"
    )
    print(
        f"content:     {report.content_expected:,} = present {report.content_present:,} (redacted "
        f"{report.content_redacted:,}) + erased {report.content_erased:,} + missing {report.content_missing:,}"
    )
    print(f"copies:      {report.copies:,} rows of other tables held against their records")
    print(f"exchanges:   {report.exchanges:,}, of which open {report.exchanges_open:,}")
    for name, behind in report.lag.items():
        print(f"note: {name}: {behind:,} records are not recorded yet")
    for note in report.notes:
        print(f"note: {note}")
    for fault in report.faults:
        print(f"FAULT {fault}")
    if report.fault_count > len(report.faults):
        print(f"FAULT and {report.fault_count - len(report.faults):,} more")
    print("the trail is whole" if report.ok else f"the trail is not whole: {report.fault_count:,} faults")
