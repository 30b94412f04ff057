"""The `penstock` command line: finds the file of a command, runs it, and turns errors into exit codes.

Exit codes: 0 fine, 1 the answer is no, 2 wrong use, 3 a service is not there.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import Any, Final

import click
import typer
from typer.core import TyperGroup

from penstock.schemas.errors import PenstockError

COMMANDS: Final = {
    "init": "write penstock.yaml and make the secrets",
    "up": "run the whole system here until Control-C",
    "demo": "run the whole system for a minute and check all that it claims",
    "local": "run one embedded service alone: kafka or clickhouse",
    "tap": "run the gateway tap",
    "worker": "run a worker: meter or record",
    "seal": "number and sign the leaves of the trail",
    "topics": "create the topics, or check that they are right",
    "migrate": "bring the tables up to date",
    "policy": "check or show the policy",
    "keys": "issue, revoke or list keys",
    "status": "what runs, and how far behind it is",
    "spend": "who used how much",
    "show": "one exchange, or its bytes",
    "verify": "check the whole trail against its checkpoints",
}


class LazyCommands(TyperGroup):
    """Imports the file of a command only when it is asked for: `penstock tap` never loads Faust."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"penstock.cli.{cmd_name}")
        command: click.Command = typer.main.get_command(module.app)
        command.name = cmd_name
        command.short_help = COMMANDS[cmd_name]
        return command


app = typer.Typer(cls=LazyCommands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def penstock() -> None:
    """The audit pipeline for AI inference: record, meter, limit and prove what flows to and from models."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    try:
        result: Any = app(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except PenstockError as error:
        print(f"penstock: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    sys.exit(result if isinstance(result, int) else 0)


if __name__ == "__main__":
    main()
