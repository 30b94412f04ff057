"""Documents point at things that exist, and the Makefile explains itself."""

import re
import subprocess
from pathlib import Path

import pytest

from penstock.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
SOURCE = re.compile(r"`((?:schemas|wire|gateway_tap|streams|trail|local|cli|tests|benchmarks|docs)/[\w./-]+\.\w+)`")
COMMAND = re.compile(r"^\s*(?:\$ )?(?:\.venv/bin/)?penstock ([a-z]+)", re.MULTILINE)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_documents_exist() -> None:
    wanted = {"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"}
    wanted |= {f"docs/{page}.md" for page in ("start", "operate", "limits", "query", "guarantees")}
    assert wanted <= {name(path) for path in DOCUMENTS}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_and_named_files_exist(path: Path) -> None:
    text = path.read_text()
    links = [link for link in LINK.findall(text) if "://" not in link and not link.startswith("mailto:")]
    assert not [link for link in links if not (path.parent / link).exists()]
    assert not [source for source in SOURCE.findall(text) if not (ROOT / source).exists()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_named_commands_exist(path: Path) -> None:
    assert not set(COMMAND.findall(path.read_text())) - set(COMMANDS)


def test_the_readme_lists_at_most_nine_files_from_socket_to_row() -> None:
    text = (ROOT / "README.md").read_text()
    hops = re.findall(r"^\d+\. `([\w/]+\.py)`", text, re.MULTILINE)
    assert 5 <= len(hops) <= 9
    assert not [hop for hop in hops if not (ROOT / hop).exists()]
    assert hops[0].startswith("gateway_tap/") and "streams/" in hops[-1]


def test_make_help_explains_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    command = ["make", "--no-print-directory", "help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in shown.splitlines()] == phony.split()
    assert all(len(line.split()) > 2 for line in shown.splitlines())


def test_decisions_are_numbered() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [path.name[:4] for path in records] == [f"{number:04d}" for number in range(1, len(records) + 1)]
    for path in records:
        text = path.read_text()
        for heading in ("## Context", "## Decision", "## What we give up", "## How we would notice"):
            assert heading in text, f"{name(path)} has no {heading!r}"


def test_the_changelog_has_a_heading_for_what_is_not_released() -> None:
    assert "## [0.1.0] - unreleased" in (ROOT / "CHANGELOG.md").read_text()


def test_documents_that_the_code_names_exist() -> None:
    named = re.compile(r"docs/(?:decisions/\d{4}|[a-z][\w/-]*\.md)")
    lost = []
    for folder in ("schemas", "wire", "gateway_tap", "streams", "trail", "local", "cli"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".sql"):
                found = {match.removesuffix(".md") for match in named.findall(path.read_text())}
                lost += [f"{name(path)}: {match}" for match in found if not list(ROOT.glob(f"{match}*.md"))]
    assert not lost, "\n".join(lost)
