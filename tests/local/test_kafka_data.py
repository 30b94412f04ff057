"""The data folder after starts that were cut short. The format tool is a script of ours: no JVM."""

import sys
from pathlib import Path

import pytest

from penstock.local.kafka_data import prepare_data
from penstock.schemas.errors import ServiceUnavailable

TOOL = """
import pathlib, sys
properties = dict(line.split("=", 1) for line in pathlib.Path(sys.argv[-1]).read_text().splitlines())
data = pathlib.Path(properties["log.dirs"]); data.mkdir()
(data / "meta.properties").write_text("cluster.id=%s\\ndirectory.id=d\\nnode.id=1\\nversion=1\\n" % sys.argv[-3])
"""


@pytest.fixture
def java(tmp_path: Path) -> list[str]:
    script = tmp_path / "tool.py"
    script.write_text(TOOL)
    return [sys.executable, str(script)]


def test_it_is_formatted_once(tmp_path: Path, java: list[str]) -> None:
    folder = tmp_path / "kafka"
    data = prepare_data(folder, java)
    first = (data / "meta.properties").read_text()
    assert prepare_data(folder, [sys.executable, "-c", "raise SystemExit(1)"]) == data
    assert (data / "meta.properties").read_text() == first


def test_a_format_that_was_cut_short_is_begun_again(tmp_path: Path, java: list[str]) -> None:
    folder = tmp_path / "kafka"
    (folder / "data.new").mkdir(parents=True)
    (folder / "data.new" / "bootstrap.checkpoint").write_bytes(b"half")
    assert (prepare_data(folder, java) / "meta.properties").exists()
    assert not (folder / "data.new").exists()


@pytest.mark.parametrize("text", [None, "", "cluster.id=\n", "cluster.id=x\nnode.id"])
def test_an_empty_folder_without_an_identity_is_formatted_anew(
    tmp_path: Path, java: list[str], text: str | None
) -> None:
    data = tmp_path / "kafka" / "data"
    data.mkdir(parents=True)
    if text is not None:
        (data / "meta.properties").write_text(text)
    prepare_data(tmp_path / "kafka", java)
    assert "version=1" in (data / "meta.properties").read_text()


def test_a_damaged_identity_beside_records_is_restored(tmp_path: Path, java: list[str]) -> None:
    folder = tmp_path / "kafka"
    data = prepare_data(folder, java)
    right = (data / "meta.properties").read_text()
    _add_records(data)
    (data / "meta.properties").write_bytes(b"\0" * 40)
    prepare_data(folder, java)
    assert (data / "meta.properties").read_text() == right


def test_records_of_an_unknown_cluster_are_never_thrown_away(tmp_path: Path, java: list[str]) -> None:
    folder = tmp_path / "kafka"
    data = prepare_data(folder, java)
    _add_records(data)
    (data / "meta.properties").unlink()
    (folder / "meta.properties").unlink()
    with pytest.raises(ServiceUnavailable, match="restore"):
        prepare_data(folder, java)
    assert list(data.glob("*/*.log"))


def test_a_failing_tool_is_quoted(tmp_path: Path) -> None:
    failing = [sys.executable, "-c", "import sys; sys.exit('no space left')"]
    with pytest.raises(ServiceUnavailable, match="no space left"):
        prepare_data(tmp_path / "kafka", failing)
    assert not (tmp_path / "kafka" / "data").exists()


def _add_records(data: Path) -> None:
    (data / "events-0").mkdir()
    (data / "events-0" / "00000000000000000000.log").write_bytes(b"records")
