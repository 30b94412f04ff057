"""Fixtures that every folder of tests may use.

`kafka_bootstrap` and `store_settings` start one embedded Kafka and one embedded store for the whole session; both lie
in the state folder of `service_settings`, so `kafka_client(service_settings)` finds them as the product does.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from penstock.schemas.addresses import read_run_file
from penstock.schemas.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
READY_S = 120.0


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded exchanges, vocabularies and token cases (`PENSTOCK_SHARED`, default ../shared)."""
    folder = Path(os.environ.get("PENSTOCK_SHARED", ROOT.parent / "shared")).resolve()
    if not (folder / "data" / "cassettes").is_dir():
        pytest.skip(f"no recorded exchanges in {folder}: set PENSTOCK_SHARED")
    return folder


@pytest.fixture(scope="session")
def service_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the session's embedded services; their addresses are known once their fixtures have run."""
    return Settings.model_validate(
        {
            "base": tmp_path_factory.mktemp("services"),
            "kafka": {"embedded": {"listen": "127.0.0.1:0"}},
            "clickhouse": {"embedded": {"listen": "127.0.0.1:0", "fsync": False}},
            "tap": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"},
        }
    )


@pytest.fixture(scope="session")
def kafka_bootstrap(service_settings: Settings) -> Iterator[str]:
    """Bootstrap address of the session's broker. Topics are shared: give yours names of their own, or reset groups."""
    with embedded("kafka", service_settings):
        yield str(read_run_file(service_settings.run, "kafka")["listen"])


@pytest.fixture(scope="session")
def store_settings(service_settings: Settings) -> Iterator[Settings]:
    """Settings whose `clickhouse_client(settings, role)` reaches the session's embedded store."""
    with embedded("clickhouse", service_settings):
        yield service_settings


@pytest.fixture(scope="session")
def start_embedded() -> Callable[[str, Settings], AbstractContextManager[subprocess.Popen[bytes]]]:
    """`embedded`, for tests that need a service of their own (to kill it, or to have the topics to themselves)."""
    return embedded


@contextmanager
def embedded(name: str, settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """`penstock local NAME` in the state folder of `settings`, ready; stopped by SIGTERM at the end."""
    command = [sys.executable, "-m", "penstock.cli.main", "local", name]
    errors = settings.state / f"{name}.stderr"
    errors.parent.mkdir(parents=True, exist_ok=True)
    (settings.run / f"{name}.json").unlink(missing_ok=True)  # of one that a test killed
    with errors.open("ab") as output:
        process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0", "--state", str(settings.state)], stdout=output, stderr=output
        )
    try:
        end = time.monotonic() + READY_S
        while not (settings.run / f"{name}.json").exists():
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"penstock local {name} did not start: {errors.read_text()[-3000:]}")
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
