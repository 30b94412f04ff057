"""A worker ends when it is told to, whatever is away."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from penstock.schemas.addresses import read_run_file
from penstock.streams.app import STOP_WITHIN_S

from .running import Services, Start

pytestmark = pytest.mark.services


def _until_written(path: Path, what: str, text: str = "", within_s: float = 90) -> None:
    end = time.monotonic() + within_s
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < end, what
        time.sleep(0.02)


def test_a_worker_ends_while_its_broker_is_away(tmp_path: Path, start_embedded: Start) -> None:
    with ExitStack() as held:
        services = held.enter_context(Services(tmp_path, start_embedded))
        command = [sys.executable, "-m", "penstock.cli.main", "worker", "record", "--config", str(services.config)]
        log = held.enter_context((tmp_path / "record.log").open("wb"))
        worker = subprocess.Popen(command, stdout=log, stderr=log)
        held.callback(worker.kill)
        _until_written(services.settings.run / "record.json", "the worker has partitions")
        os.kill(int(read_run_file(services.settings.run, "kafka")["pid"]), signal.SIGKILL)
        _until_written(tmp_path / "record.log", "the worker knows it", "Unable connect to node")
        worker.terminate()
        assert worker.wait(STOP_WITHIN_S + 20) == 0
        assert not (services.settings.run / "record.json").exists()
