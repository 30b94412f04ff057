"""The pinned class path: where it lies, and that nothing else is ever run."""

import hashlib
from pathlib import Path

import pytest

from penstock.local import jars
from penstock.schemas.errors import ServiceUnavailable

STATE = Path("/state")


def test_every_jar_has_one_pin() -> None:
    pins = jars.pins()
    assert len(pins) == 46
    assert f"kafka_2.13-{jars.KAFKA_VERSION}.jar" in pins
    assert all(len(digest) == 64 and int(digest, 16) for digest in pins.values())


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"PENSTOCK_KAFKA_JARS": "/given", "HOME": "/root"}, "/given"),
        ({"XDG_CACHE_HOME": "/cache", "HOME": "/root"}, "/cache/penstock/kafka-4.1.0"),
        ({"XDG_CACHE_HOME": "relative"}, "/state/cache/kafka-4.1.0"),
        ({"HOME": ""}, "/state/cache/kafka-4.1.0"),
        ({"HOME": "/nowhere/at/all"}, "/state/cache/kafka-4.1.0"),
        ({}, "/state/cache/kafka-4.1.0"),
    ],
)
def test_the_folder_is_in_the_cache_or_in_the_state(environ: dict[str, str], folder: str) -> None:
    assert str(jars.jar_folder(STATE, environ)) == folder


def test_the_home_cache_is_used_where_it_can_be_written(tmp_path: Path) -> None:
    assert jars.jar_folder(STATE, {"HOME": str(tmp_path)}) == tmp_path / ".cache/penstock/kafka-4.1.0"


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A class path of one jar, `a.jar` with the bytes `right`; the resolver finds it in a folder of its own."""
    folder, found = tmp_path / "jars", tmp_path / "found"
    found.mkdir()
    monkeypatch.setenv("PENSTOCK_KAFKA_JARS", str(folder))
    monkeypatch.setattr(jars, "pins", lambda: {"a.jar": hashlib.sha256(b"right").hexdigest()})
    monkeypatch.setattr(jars, "_resolve", lambda _: list(found.iterdir()))
    return found / "a.jar"


def test_missing_and_damaged_jars_are_fetched_again(pinned: Path, tmp_path: Path) -> None:
    pinned.write_bytes(b"right")
    (jar,) = jars.class_path(STATE)
    assert jar.read_bytes() == b"right"
    jar.write_bytes(b"torn")
    assert jars.class_path(STATE) == [tmp_path / "jars" / "a.jar"]
    assert jar.read_bytes() == b"right"


def test_a_complete_folder_needs_no_network(pinned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned.write_bytes(b"right")
    assert not jars.are_here(STATE)
    jars.class_path(STATE)
    assert jars.are_here(STATE)

    def fail(_: Path) -> list[Path]:
        raise AssertionError("asked the network")

    monkeypatch.setattr(jars, "_resolve", fail)
    assert len(jars.class_path(STATE)) == 1


def test_a_jar_with_other_bytes_is_never_put_on_the_class_path(pinned: Path, tmp_path: Path) -> None:
    pinned.write_bytes(b"wrong")
    with pytest.raises(ServiceUnavailable, match=r"a\.jar is not the file"):
        jars.class_path(STATE)
    assert not (tmp_path / "jars" / "a.jar").exists()
