"""The store as a process: killed, doubled, and its passwords."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import clickhouse_connect
import pytest

from penstock.schemas.addresses import clickhouse_client, read_run_file
from penstock.schemas.settings import Settings

pytestmark = pytest.mark.services
Start = Callable[[str, Settings], AbstractContextManager[subprocess.Popen[bytes]]]


def test_acknowledged_rows_survive_kill_9(tmp_path: Path, start_embedded: Start) -> None:
    settings = Settings.model_validate({"base": tmp_path, "clickhouse": {"embedded": {"listen": "127.0.0.1:0"}}})
    acknowledged = 0
    for life in range(2):
        with start_embedded("clickhouse", settings) as process:
            client = clickhouse_connect.get_client(**clickhouse_client(settings, "admin"))
            client.command("CREATE DATABASE IF NOT EXISTS k ENGINE = Atomic")
            client.command("CREATE TABLE IF NOT EXISTS k.t (life UInt8, n UInt32) ENGINE = MergeTree ORDER BY n")
            assert client.command("SELECT count() FROM k.t") == acknowledged
            assert client.command("SELECT value FROM system.merge_tree_settings WHERE name = 'fsync_after_insert'") == 1
            for number in range(5):
                client.insert("k.t", [[life, number]] * 10, column_names=["life", "n"])
                acknowledged += 10
            process.kill()
            process.wait()
            client.close()


def test_a_second_one_on_the_same_folder_says_who_is_there(store_settings: Settings) -> None:
    command = [sys.executable, "-P", "-m", "penstock.cli.main", "local", "clickhouse", "--listen", "127.0.0.1:0"]
    done = subprocess.run(
        [*command, "--state", str(store_settings.state)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3
    assert f"process {read_run_file(store_settings.run, 'clickhouse')['pid']} already runs" in done.stderr


def test_passwords_are_for_the_owner_alone(store_settings: Settings) -> None:
    for path in (store_settings.run / "clickhouse.json", store_settings.state / "clickhouse" / "accounts.json"):
        assert path.stat().st_mode & 0o077 == 0
