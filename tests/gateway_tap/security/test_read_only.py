"""The tap runs as nobody, with nothing to write to but its state folder."""

import itertools
import os
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from penstock.local.secrets import make_secrets
from penstock.schemas.addresses import read_run_file
from penstock.schemas.settings import load_settings

NOBODY = 65534


AS_NOBODY = """
import os
import encodings.idna, importlib.metadata, penstock.cli.tap, penstock.gateway_tap.app
importlib.metadata.version("penstock")
from penstock.cli.main import main
os.setgroups([])
os.setgid({nobody})
os.setuid({nobody})
main(["tap", "--config", {config!r}])
"""
"""Modules are loaded before: an interpreter that lies in the home of root is out of reach afterwards."""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
def test_the_tap_serves_as_another_user_over_a_tree_that_it_cannot_write(tmp_path):
    for folder in (tmp_path, *itertools.takewhile(lambda parent: parent.stat().st_uid == 0, tmp_path.parents)):
        if folder.parent != folder and not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    config = tmp_path / "penstock.yaml"
    content = {
        "tap": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"},
        "upstreams": [{"name": "openai", "url": "http://127.0.0.1:9"}],
        "kafka": {"bootstrap_servers": "127.0.0.1:9"},
        "state_dir": "state",
    }
    config.write_text(yaml.safe_dump(content))
    settings = load_settings(config)
    make_secrets(settings)
    for path in (settings.state, *settings.state.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    config.chmod(0o444)
    tmp_path.chmod(0o555)
    log = (tmp_path / "tap.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-c", AS_NOBODY.format(nobody=NOBODY, config=str(config))],
        stdout=log,
        stderr=log,
        cwd="/",
        env={**os.environ, "HOME": "/nonexistent", "TMPDIR": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        end = time.monotonic() + 60
        while not (settings.run / "tap.json").exists():
            assert process.poll() is None and time.monotonic() < end, (tmp_path / "tap.log").read_text()
            time.sleep(0.02)
        admin = read_run_file(settings.run, "tap")["admin"]
        assert urllib.request.urlopen(f"{admin}/healthz").read() == b"ok\n"
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}" in status
        assert "CapEff:\t0000000000000000" in status
        opened = [str(link.readlink()) for link in Path(f"/proc/{process.pid}/fd").iterdir()]
        state = str(settings.state)
        files = [path for path in opened if path.startswith("/") and not path.startswith(("/dev/", state))]
        assert files in ([], [str(tmp_path / "tap.log")] * 2)
        owners = {path.stat().st_uid for path in settings.state.rglob("*")}
        assert owners == {NOBODY}
    finally:
        process.kill()
        process.wait()
        log.close()
        tmp_path.chmod(0o755)
