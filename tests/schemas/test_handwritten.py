"""YAML that people write: one value for a key, no quotation in a complaint."""

from pathlib import Path

import pytest
import yaml

from penstock.schemas.handwritten import not_yaml, read_yaml


def read(tmp_path: Path, text: bytes) -> object:
    path = tmp_path / "file.yaml"
    path.write_bytes(text)
    return read_yaml(path)


def test_plain_values(tmp_path: Path) -> None:
    assert read(tmp_path, b"") is None
    assert read(tmp_path, "a: {b: [1, ü]}".encode()) == {"a": {"b": [1, "ü"]}}
    assert read(tmp_path, b"base: &x {a: 1}\nmore: {<<: *x, a: 2}") == {"base": {"a": 1}, "more": {"a": 2}}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"a: 1\nb: {c: 1, d: hunter2, c: 2}", "not YAML in line 2, column 23: 'c' stands twice"),
        (b"a: \xff", "not YAML: invalid start byte"),
        (b"a: \x00", "not YAML: special characters are not allowed"),
        (b"a: !!python/object:os.system hunter2", "could not determine a constructor"),
        (b"[1]: 2", "found unhashable key"),
    ],
)
def test_mistakes_are_placed_and_not_quoted(tmp_path: Path, text: bytes, complaint: str) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        read(tmp_path, text)
    assert complaint in not_yaml(caught.value)
    assert "hunter" not in not_yaml(caught.value)
