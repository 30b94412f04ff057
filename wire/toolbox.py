"""The text that OpenAI's models see of tools: a TypeScript namespace, known from the tokens it costs."""

from collections.abc import Iterator
from typing import Any

from .lenient import dumped

_DEEPEST = 32


def tools_text(functions: list[dict[str, Any]]) -> str:
    """The namespace of these functions (`{"name", "description", "parameters"}`)."""
    lines = ["namespace functions {", ""]
    for function in functions:
        description = function.get("description")
        if isinstance(description, str) and description:
            lines.append(f"// {description}")
        lines += [*_signature(function), ""]
    lines.append("} // namespace functions")
    return "\n".join(lines)


def _signature(function: dict[str, Any]) -> Iterator[str]:
    name = function.get("name")
    parameters = function.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    if isinstance(parameters, dict) and isinstance(properties, dict) and properties:
        yield f"type {name} = (_: {{"
        yield from _members(parameters, 0)
        yield "}) => any;"
    else:
        yield f"type {name} = () => any;"


def _members(schema: dict[str, Any], depth: int) -> Iterator[str]:
    properties = schema.get("properties")
    required = schema.get("required")
    indent = "  " * depth
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        if not isinstance(inner, dict):
            continue
        description = inner.get("description")
        if isinstance(description, str) and description and depth < 2:
            yield f"{indent}// {description}"
        optional = "" if isinstance(required, list) and name in required else "?"
        yield f"{indent}{name}{optional}: {_type(inner, depth + 1)},"


def _type(schema: dict[str, Any], depth: int) -> str:
    kind, options = schema.get("type"), schema.get("enum")
    if depth > _DEEPEST:
        return "any"
    if isinstance(options, list):
        return " | ".join(dumped(option) for option in options)
    if isinstance(schema.get("anyOf"), list):
        return " | ".join(_type(one, depth + 1) for one in schema["anyOf"] if isinstance(one, dict))
    if kind == "array":
        items = schema.get("items")
        return f"{_type(items, depth + 1)}[]" if isinstance(items, dict) else "any[]"
    if kind == "object":
        return "\n".join(["{", *_members(schema, depth), "}"])
    return {"integer": "number", "string": "string", "number": "number", "boolean": "boolean", "null": "null"}.get(
        kind if isinstance(kind, str) else "", "any"
    )
