"""What the demo found, as a person wants to read it."""

from decimal import Decimal
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from penstock.local.demo_calls import LIMIT_TOKENS, Outcome
from penstock.local.demo_report import Report


def print_report(console: Console, report: Report, folder: Path) -> None:
    """Who used what, what was cut, what was checked, the verdict on the trail, and three commands to try next."""
    console.print("\n[bold]Who used what[/]")
    console.print(_spend(report))
    for outcome in report.evidence.outcomes:
        if outcome.exchange_id in report.evidence.killed:
            _print_cut(console, report, outcome)
    console.print("\n[bold]What was checked, against the endpoint's own record[/]")
    for check in report.checks:
        line = f"[green]✓[/] {check.claim}" if check.ok else f"[red]✗[/] {check.claim}: {check.against}"
        console.print(line, soft_wrap=True)
    verdict = "[green]the trail is whole[/]" if report.evidence.verified else "[red]the trail was altered[/]"
    console.print(f"\n[bold]penstock verify[/]: {verdict}, {report.leaves:,} leaves under a signed checkpoint")
    _print_next(console, report, folder)


def _spend(report: Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("team", "model", "exchanges", "input", "output", "USD"):
        table.add_column(name, justify="left" if name in ("team", "model") else "right", no_wrap=True)
    for row in report.spend:
        counts = [f"{count:,}" for count in (row.requests, row.input_tokens, row.output_tokens)]
        table.add_row(row.group["team"], row.group["model"], *counts, _usd(row.cost_usd))
    return table


def _usd(cost: Decimal | None) -> str:
    if cost is None:
        return "no price"
    return f"{cost:.6f}" if not cost or cost >= Decimal("0.000001") else "< 0.000001"


def _print_cut(console: Console, report: Report, outcome: Outcome) -> None:
    (kill,) = (kill for kill in report.evidence.kills if kill.exchange_id == outcome.exchange_id)
    when = "" if kill.cut_ms is None else f", {kill.cut_ms:.0f} ms after the chunk that crossed it"
    console.print("[bold]What was cut[/]")
    console.print(
        f"team {outcome.call.team}, in mid-stream, {kill.overshoot_tokens:,} tokens beyond its limit of "
        f"{LIMIT_TOKENS:,} a day{when}",
        soft_wrap=True,
    )
    console.print(f"its program got [yellow]{outcome.error}[/]: {outcome.message}", soft_wrap=True)


def _print_next(console: Console, report: Report, folder: Path) -> None:
    config = folder / "penstock.yaml"
    some_id = next(iter(report.evidence.killed), "ID")
    console.print("\n[bold]Try next[/]: start it again on what it recorded, and look from a second terminal")
    console.print(f"  penstock up --config {config}", soft_wrap=True)
    console.print(f"  penstock show {some_id} --config {config}", soft_wrap=True)
    console.print(f"  penstock spend --by team,model --config {config}", soft_wrap=True)
    console.print(
        f"\n{len(report.evidence.outcomes)} exchanges in {report.duration_s:.0f} s: see {folder / 'report.json'}",
        soft_wrap=True,
    )
