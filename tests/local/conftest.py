"""The session's embedded store, for the tests of this folder: clients by role, curl, and a table of a thousand rows."""

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import clickhouse_connect
import pytest

from penstock.schemas.addresses import Role, clickhouse_client, read_run_file
from penstock.schemas.settings import Settings

Curl = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def store_client(store_settings: Settings) -> Iterator[Callable[..., Any]]:
    """A new clickhouse-connect client in a role; closed at the end."""
    made: list[Any] = []

    def client(role: Role, **more: Any) -> Any:
        made.append(clickhouse_connect.get_client(**clickhouse_client(store_settings, role), **more))
        return made[-1]

    yield client
    for client_made in made:
        client_made.close()


@pytest.fixture(scope="session")
def admin(store_client: Callable[..., Any]) -> Any:
    """Admin's client, after it made `local_tests.t`: a thousand rows `(a, s)`."""
    client = store_client("admin")
    client.command("CREATE DATABASE local_tests ENGINE = Atomic")
    client.command("CREATE TABLE local_tests.t (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
    client.insert("local_tests.t", [[i, f"row {i}"] for i in range(1000)], column_names=["a", "s"])
    return client


@pytest.fixture(params=["reader", "writer"])
def limited(request: pytest.FixtureRequest, store_client: Callable[..., Any], admin: Any) -> Any:
    """A client that may do less than admin."""
    return store_client(request.param)


@pytest.fixture
def curl(store_settings: Settings) -> Curl:
    """Runs curl on a path of the store; status and body."""
    url = read_run_file(store_settings.run, "clickhouse")["url"]

    def run(*arguments: str, path: str = "/") -> tuple[int, str]:
        command = ["curl", "-s", "-g", "-w", "\n%{http_code}", *arguments, f"{url}{path}"]
        body, _, status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rpartition("\n")
        return int(status), body

    return run
