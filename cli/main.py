"""The `penstock` command line: finds the file of a command, runs it, and turns errors into exit codes.

Exit codes: 0 fine, 1 the answer is no, 2 wrong use, 3 a service is not there. A command's file holds `run` (one
command) or `app` (a group of them); only the file that is asked for is imported: `penstock tap` never loads Faust.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import Final

import typer

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
    "gap": "list what is known to be missing, or accept a loss",
}


def build(wanted: str | None) -> typer.Typer:
    """The application with the command `wanted`, or with all of them where it is none of ours (help, mistakes)."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(penstock)
    for name in [wanted] if wanted in COMMANDS else COMMANDS:
        module = importlib.import_module(f"penstock.cli.{name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name, short_help=COMMANDS[name])
        else:
            app.command(name, short_help=COMMANDS[name])(module.run)
    return app


def penstock() -> None:
    """The audit pipeline for AI inference: record, meter, limit and prove what flows to and from models."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        build(given[0] if given else None)(given)
    except PenstockError as error:
        print(f"penstock: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
