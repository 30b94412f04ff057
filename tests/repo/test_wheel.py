"""The wheel, built through the sdist as `pip install` does it, holds exactly the folders and nothing else."""

import tarfile
import zipfile
from pathlib import Path

import pytest

build = pytest.importorskip("build")

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("schemas", "wire", "gateway_tap", "streams", "trail", "local", "cli")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without isolation: hatchling is among the development dependencies, so no network is needed."""
    out = tmp_path_factory.mktemp("dist")
    sdist = build.ProjectBuilder(ROOT).build("sdist", out)
    with tarfile.open(sdist) as archive:
        archive.extractall(out / "unpacked", filter="data")
    (unpacked,) = (out / "unpacked").iterdir()
    return Path(build.ProjectBuilder(unpacked).build("wheel", out))


def expected() -> set[str]:
    return {
        f"penstock/{path.relative_to(ROOT).as_posix()}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def test_the_wheel_holds_the_folders(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == expected()
    assert "penstock/schemas/sql/0001_tables.sql" in found
    assert {f"penstock/{folder}/py.typed" for folder in FOLDERS} <= found
    assert any(name.startswith("penstock/wire/vocab/") for name in found)
    assert "penstock/__init__.py" not in found


def test_the_wheel_names_its_licence_and_its_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        about = {
            name.split(".dist-info/")[1]: archive.read(name).decode()
            for name in archive.namelist()
            if ".dist-info/" in name
        }
    assert {"licenses/LICENSE", "licenses/NOTICE"} <= about.keys()
    assert "penstock = penstock.cli.main:main" in about["entry_points.txt"]
    assert "License-Expression: Apache-2.0" in about["METADATA"]
    assert "# Penstock" in about["METADATA"]
