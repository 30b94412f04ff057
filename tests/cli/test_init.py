"""`penstock init`, and the two commented examples: documented key by key, and accepted."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from penstock.cli.init import example, run
from penstock.schemas.keys import KeyRecord
from penstock.schemas.policy import Failures, Limit, Policy, load_policy
from penstock.schemas.settings import Settings, load_settings
from penstock.schemas.tap_settings import Upstream

ROOT = Path(__file__).resolve().parents[2]


def fields(model: type[BaseModel], *left_out: str) -> set[str]:
    """Every key of a settings model and of the models in it."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        if name in left_out:
            continue
        found.add(name)
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= fields(part)
    return found


def test_init_writes_a_file_that_loads_and_leaves_it_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "penstock.yaml"
    run(config)
    assert load_settings(config).upstreams[0].name == "openai"
    config.write_text("upstreams: []\n")
    run(config)
    assert config.read_text() == "upstreams: []\n"
    assert "stays as it is" in capsys.readouterr().out
    assert (tmp_path / ".penstock" / "secrets" / "signing_key").exists()


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text(example("penstock.example.yaml"))
    shown = load_settings(tmp_path / "penstock.yaml").model_dump(exclude={"upstreams"})
    assert shown == Settings(base=tmp_path).model_dump(exclude={"upstreams"})


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("penstock.example.yaml", fields(Settings, "base", "file") | fields(Upstream)),
        ("policy.example.yaml", fields(Policy) | fields(Limit) | fields(KeyRecord) | fields(Failures)),
    ],
)
def test_the_examples_document_every_key(name: str, keys: set[str]) -> None:
    text = example(name)
    assert [key for key in sorted(keys) if not re.search(rf"(^|[\s{{#]){key}:? ", text.replace("\n", " "))] == []


def test_the_policy_example_is_a_policy() -> None:
    policy = load_policy(ROOT / "policy.example.yaml")
    assert policy.owner.name == "AI Platform"
    assert {limit.kind for limit in policy.limits} == {"hard", "soft"}


@pytest.mark.parametrize("name", ["penstock.example.yaml", "policy.example.yaml"])
def test_the_examples_at_the_root_are_the_packaged_ones(name: str) -> None:
    content: Any = yaml.safe_load((ROOT / name).read_text())
    assert (ROOT / name).is_symlink()
    assert content == yaml.safe_load(example(name))
