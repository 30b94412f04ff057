"""`penstock demo`: runs the whole system for a minute, shows how far it is, and prints what came of it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from penstock.schemas.errors import UsageError


class Bar:
    """What the demo tells, as a bar with the present step and a line for each finished one."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def doing(self, what: str, share: float) -> None:
        self._progress.update(self._task, description=what, completed=share)

    def done(self, what: str) -> None:
        self._progress.console.print(f"[green]✓[/] {what}", soft_wrap=True)


def run(
    folder: Annotated[Path, typer.Option(help="where to work; emptied first")] = Path(".penstock/demo"),
    as_json: Annotated[bool, typer.Option("--json", help="print report.json alone")] = False,
) -> None:
    """Start everything, drive traffic of four teams, cut one; exit 0 only if all that is claimed was checked."""
    console = Console(stderr=as_json, highlight=False)
    columns = (SpinnerColumn(), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        bar = Bar(progress, progress.add_task("getting ready", total=1.0))
        try:
            import uvloop

            from penstock.local.demo import run_demo

            from .demo_print import print_report
        except ImportError as error:
            raise UsageError(f"the demo needs {error.name}: install penstock[demo]") from error
        report = uvloop.run(run_demo(folder, bar))
    if as_json:
        print((folder / "report.json").read_text(), end="")
    else:
        print_report(console, report, folder)
    if not report.ok:
        raise typer.Exit(1)
