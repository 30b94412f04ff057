"""Generated schemas are up to date, and golden examples can be read by models and by JSON Schema alike."""

import json

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import BaseModel

from penstock.schemas.generate import MODELS, example_path, schema_files


def test_schema_files_are_up_to_date() -> None:
    stale = [path.name for path, text in schema_files().items() if not path.exists() or path.read_text() != text]
    assert not stale, f"run `make fix`: {stale}"
    folder = next(iter(schema_files())).parent
    assert {path.name for path in folder.iterdir()} == {path.name for path in schema_files()}


@pytest.mark.parametrize("name", MODELS)
def test_golden_example(name: str) -> None:
    text = example_path(name).read_text()
    model: type[BaseModel] = MODELS[name]
    found = model.model_validate_json(text) if name != "settings" else model(**json.loads(text))
    schema = model.model_json_schema()
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads(text))
    again = json.loads(found.model_dump_json())
    for member, value in json.loads(text).items():
        if not isinstance(value, dict | list):
            assert again[member] == value


def test_there_is_one_example_per_model() -> None:
    folder = example_path("order").parent
    assert {path.stem for path in folder.glob("*.json")} == set(MODELS)


def test_a_contract_model_ignores_members_of_later_versions() -> None:
    for name in ("order", "completion", "attribution", "usage-total"):
        content = json.loads(example_path(name).read_text())
        MODELS[name].model_validate({**content, "from_a_later_version": [1]})
