"""Sizes, docstrings and places of files."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("schemas", "wire", "gateway_tap", "streams", "trail", "local", "cli")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FILE_MAX_LINES, FUNCTION_MAX_LINES = 400, 60


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    return [ROOT / line for line in listed.stdout.decode().split("\0") if line and (ROOT / line).is_file()]


def test_files_are_short() -> None:
    long = {name(path): lines for path in SOURCES + TESTS if (lines := path.read_text().count("\n")) > FILE_MAX_LINES}
    assert not long


def test_functions_are_short() -> None:
    long = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_MAX_LINES:
                    long.append(f"{name(path)}:{node.lineno} {node.name}: {lines} lines")
    assert not long


def test_modules_say_what_they_are() -> None:
    assert not [name(path) for path in SOURCES if ast.get_docstring(ast.parse(path.read_text())) is None]


def test_packages_hold_a_glossary_alone() -> None:
    for folder in FOLDERS:
        path = ROOT / folder / "__init__.py"
        assert path.exists(), f"{folder}/ has no __init__.py"
        assert len(ast.parse(path.read_text()).body) == 1, f"{name(path)} holds more than its docstring"
        assert (ROOT / folder / "py.typed").exists()
        link = ROOT / ".dev" / "penstock" / folder
        assert link.is_symlink() and not link.readlink().is_absolute() and link.resolve() == ROOT / folder


def test_nothing_is_left_half_done() -> None:
    found = []
    for path in SOURCES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if any(mark in line for mark in ("TODO", "FIXME", "NotImplementedError", "# type: ignore\n")):
                found.append(f"{name(path)}:{number}: {line.strip()}")
    assert not found, "\n".join(found)


def test_tests_mirror_sources() -> None:
    """`tests/wire/test_sse.py` or `test_sse_something.py` tests `wire/sse.py`, `tests/schemas/test_sql.py` the folder
    `schemas/sql`. PAGES test a document; folders of their own: repo, e2e and faults."""
    lost = []
    for path in TESTS:
        folder, stem = path.parent.name, path.stem.removeprefix("test_")
        if folder in FOLDERS and path.name.startswith("test_") and stem not in PAGES:
            sources = {place.stem for place in (ROOT / folder).iterdir()}
            lost += [] if any(stem == source or stem.startswith(f"{source}_") for source in sources) else [name(path)]
        if path.parent.parent == ROOT / "tests" and folder not in (*FOLDERS, "repo", "e2e", "faults"):
            lost.append(name(path))
    assert not lost, lost


PAGES = {"vectors", "trail_page"}


def test_every_migration_has_a_number_of_its_own() -> None:
    numbers = [path.name[:4] for path in sorted((ROOT / "schemas" / "sql").glob("*.sql"))]
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]


def test_no_machine_path_and_no_package_index_is_committed() -> None:
    """Spelt in pieces, so that this file does not find itself."""
    marks = [
        "/" + "work/main",
        "/" + "work/shared",
        "/" + "home/",
        "/" + "root/",
        "--index" + "-url ",
        "--extra-index" + "-url",
    ]
    found = []
    for path in tracked():
        if path.is_symlink():
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{name(path)}: {mark}" for mark in marks if mark in text]
        if path.suffix == ".txt" and path.parent.name == "requirements":
            found += [f"{name(path)}: {line}" for line in text.splitlines() if "://" in line]
    assert not found, "\n".join(found)


def test_no_large_file_is_committed() -> None:
    large = {name(path): size for path in tracked() if (size := path.stat().st_size) > 1_000_000}
    assert not large
