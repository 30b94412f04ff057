"""`penstock policy check`: says what is wrong with a policy, or what it holds."""

import json
from pathlib import Path
from typing import Annotated

import typer

from penstock.schemas.errors import UsageError
from penstock.schemas.policy import Policy, load_policy
from penstock.schemas.settings import load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def policy() -> None:
    """Check or show the policy."""


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="the policy; default: the one that penstock.yaml names")] = None,
    config: Annotated[Path | None, typer.Option(help="penstock.yaml")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Exit 0 if the policy can be used; else say where it is wrong (exit 2)."""
    path, found = _find(file, config)
    if as_json:
        print(json.dumps({"ok": True, "file": str(path), "version": found.version, "limits": len(found.limits)}))
    else:
        counts = f"{_count(len(found.limits), 'limit')}, {_count(len(found.keys), 'key')}"
        print(f"{path}: fine: version {found.version} of {found.owner.name}, {counts}")


@app.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="the policy; default: the one that penstock.yaml names")] = None,
    config: Annotated[Path | None, typer.Option(help="penstock.yaml")] = None,
) -> None:
    """Print the policy as it is understood, defaults included, as JSON."""
    print(_find(file, config)[1].model_dump_json(indent=2))


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _find(file: Path | None, config: Path | None) -> tuple[Path, Policy]:
    path = file or load_settings(config).policy_path
    if path is None:
        raise UsageError("no policy: name a file, or set `policy:` in penstock.yaml")
    return path, load_policy(path)
