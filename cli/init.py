"""`penstock init`: writes penstock.yaml and makes the secrets."""

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from penstock.schemas.settings import load_settings


def run(config: Annotated[Path, typer.Option(help="the file to write")] = Path("penstock.yaml")) -> None:
    """Write a commented penstock.yaml, unless it is there, and make the secrets that are missing."""
    from penstock.local.secrets import make_secrets

    if config.exists():
        print(f"{config} is there already and stays as it is")
    else:
        config.parent.mkdir(parents=True, exist_ok=True)
        with config.open("x") as file:
            file.write(example("penstock.example.yaml"))
        print(f"wrote {config}: every key is explained in it")
    for path in make_secrets(load_settings(config)):
        print(f"made {path} (0600)")
    print("Next: name your endpoints under `upstreams`, then `penstock up`")


def example(name: str) -> str:
    """The text of a commented example, as the package carries it."""
    return (resources.files("penstock.local") / "examples" / name).read_text()
