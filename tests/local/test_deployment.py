"""A whole system as the demo and the fault tests start it: ready, one child killed, stopped, and nothing left."""

import asyncio
from pathlib import Path

import pytest
import yaml

from penstock.local.deployment import COMMANDS, Deployment
from penstock.local.processes import command_of, read_pid
from penstock.schemas.addresses import read_run_file
from penstock.schemas.errors import PolicyError, ServiceUnavailable, SettingsError

pytestmark = pytest.mark.services
CONTENT = {
    "upstreams": [{"name": "openai", "url": "http://127.0.0.1:1"}],
    "kafka": {"embedded": {"listen": "127.0.0.1:0"}},
    "clickhouse": {"embedded": {"listen": "127.0.0.1:0"}},
    "tap": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"},
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "penstock.yaml"
    path.write_text(yaml.safe_dump(CONTENT))
    return path


async def test_a_system_starts_heals_and_stops(config: Path) -> None:
    heard: list[str] = []
    deployment = Deployment(config, heard.append)
    async with deployment:
        settings = deployment.settings
        before = deployment.pids
        assert set(before) == set(COMMANDS)
        assert all(read_pid(settings.run, name) == pid for name, pid in before.items())
        addresses = {name: read_run_file(settings.run, name) for name in ("kafka", "clickhouse", "tap")}
        for name in ("meter", "tap", "clickhouse"):
            await deployment.crash(name)
        assert all(deployment.pids[name] != before[name] for name in ("meter", "tap", "clickhouse"))
        # Clients that were there before find everything where it was, and let in as before.
        assert read_run_file(settings.run, "tap")["url"] == addresses["tap"]["url"]
        assert read_run_file(settings.run, "clickhouse")["url"] == addresses["clickhouse"]["url"]
        assert read_run_file(settings.run, "clickhouse")["writer"] == addresses["clickhouse"]["writer"]
        with pytest.raises(ServiceUnavailable, match="already runs"):
            await Deployment(config).start()
        last = {**before, **deployment.pids}
    assert deployment.pids == {}
    assert [name for name, pid in last.items() if command_of(pid)] == []
    assert not list(settings.run.glob("*.pid"))
    assert "tap is ready" in heard and any(line.startswith("meter ended with code -9") for line in heard)


def test_with_a_wrong_policy_nothing_is_started(config: Path) -> None:
    config.write_text(yaml.safe_dump({**CONTENT, "policy": "absent.yaml"}))
    deployment = Deployment(config)
    with pytest.raises(PolicyError, match=r"absent.yaml: cannot read the policy"):
        asyncio.run(deployment.start())
    assert not deployment.settings.state.exists()


def test_without_an_upstream_nothing_is_started(config: Path) -> None:
    config.write_text(yaml.safe_dump({**CONTENT, "upstreams": []}))
    deployment = Deployment(config)
    with pytest.raises(SettingsError, match="upstreams"):
        asyncio.run(deployment.start())
    assert not deployment.settings.state.exists()
