"""Edge: reads the YAML files that people write, and says what is wrong with them without quoting them."""

from pathlib import Path
from typing import Any

import yaml


class _OneOfEach(yaml.SafeLoader):
    """YAML 1.2, 3.2.1.3: the keys of a mapping are unique. PyYAML alone would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> object:
    """What `path` holds, None where it is empty. OSError where it cannot be read, yaml.YAMLError where it is no YAML
    in UTF-8, or a key stands twice in one mapping."""
    return yaml.load(path.read_bytes(), Loader=_OneOfEach)


def not_yaml(error: yaml.YAMLError) -> str:
    """What is wrong and where; never the line itself, which may hold a password."""
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or type(error).__name__
    return f"not YAML{where}: {problem}"
