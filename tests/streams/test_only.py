"""A second worker of one instance on one state folder is refused before it reaches Kafka."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.local.secrets import make_secrets
from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.settings import load_settings
from penstock.streams.only import only_instance


def test_one_instance_is_one_process(tmp_path: Path) -> None:
    held = only_instance(tmp_path, "meter-0")
    other = only_instance(tmp_path, "meter-1")
    with pytest.raises(ServiceUnavailable, match=rf"meter-0 runs here already \(process {os.getpid()}\).*--instance"):
        only_instance(tmp_path, "meter-0")
    os.close(held)
    os.close(only_instance(tmp_path, "meter-0"))
    os.close(other)


def test_the_command_says_so(tmp_path: Path) -> None:
    held = only_instance(tmp_path / ".penstock" / "run", "meter-3")
    config = tmp_path / "penstock.yaml"
    config.write_text("kafka: {bootstrap_servers: '127.0.0.1:1'}\n")
    make_secrets(load_settings(config))
    command = [sys.executable, "-m", "penstock.cli.main", "worker", "meter", "--instance", "3", "--config", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    os.close(held)
    assert ended.returncode == ServiceUnavailable.exit_code
    assert "meter-3 runs here already" in ended.stderr
