"""`penstock up` in the foreground: Control-C leaves nothing, and so does kill -9."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from penstock.local.processes import command_of, read_pid
from penstock.schemas.settings import load_settings

pytestmark = pytest.mark.services
CONTENT = {
    "upstreams": [{"name": "openai", "url": "http://127.0.0.1:1"}],
    "kafka": {"embedded": {"listen": "127.0.0.1:0"}},
    "clickhouse": {"embedded": {"listen": "127.0.0.1:0"}},
    "tap": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"},
}
NAMES = ("kafka", "kafka-broker", "clickhouse", "tap", "meter", "record", "seal")
UP = [sys.executable, "-P", "-m", "penstock.cli.main", "up"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "penstock.yaml"
    path.write_text(yaml.safe_dump(CONTENT))
    return path


@pytest.fixture
def up(config: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*UP, "--config", str(config)], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def printed_until(process: subprocess.Popen[str], text: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if text in line:
            return lines
    raise AssertionError("\n".join(lines))


def pids(config: Path) -> dict[str, int]:
    run = load_settings(config).run
    return {name: pid for name in NAMES if (pid := read_pid(run, name)) is not None}


def test_one_control_c_stops_everything(up: subprocess.Popen[str], config: Path) -> None:
    shown = "\n".join(printed_until(up, "Warning"))
    found = pids(config)
    assert set(found) == set(NAMES)
    assert "OPENAI_BASE_URL=http://127.0.0.1:" in shown and "/v1" in shown
    assert "journal: events are in a file" in shown and str(config.parent / ".penstock" / "logs") in shown
    assert "Warning: upstream openai: 127.0.0.1:1 cannot be reached" in shown
    up.send_signal(signal.SIGINT)
    assert printed_until(up, "Stopped")[0].startswith("Stopping")
    assert up.wait(60) == 0
    assert [name for name, pid in found.items() if command_of(pid)] == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next `up` stops what was left over")
def test_a_killed_up_leaves_nothing_and_the_next_one_starts(up: subprocess.Popen[str], config: Path) -> None:
    printed_until(up, "Control-C stops everything")
    found = pids(config)
    watched = [os.pidfd_open(pid) for pid in found.values()]
    up.kill()
    for descriptor in watched:
        assert select.select([descriptor], [], [], 120)[0]
        os.close(descriptor)
    with subprocess.Popen([*UP, "--config", str(config)], stdout=subprocess.PIPE, text=True) as again:
        printed_until(again, "Penstock is up")
        again.send_signal(signal.SIGTERM)
        printed_until(again, "Stopped")
        assert again.wait(60) == 0


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        ("upstreams: []", 2, "upstreams: no model endpoint"),
        ("upstream: []", 2, "upstream: "),
        (None, 2, "penstock init"),
    ],
)
def test_wrong_use_says_what_to_do(tmp_path: Path, content: str | None, code: int, says: str) -> None:
    path = tmp_path / "penstock.yaml"
    if content is not None:
        path.write_text(content)
    done = subprocess.run([*UP, "--config", str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
