"""`penstock keys` against a real broker: a key is shown once, kept as a hash, and can be revoked."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from penstock.cli.keys import app
from penstock.local.secrets import make_secrets
from penstock.schemas.errors import ServiceUnavailable, UsageError
from penstock.schemas.keys import key_hash
from penstock.schemas.secrets import read_secret
from penstock.schemas.settings import Settings, load_settings
from penstock.trail.topics import ensure_topics


def run(config: Path, *arguments: str, given: str = "") -> str:
    result = CliRunner().invoke(app, [*arguments, "--config", str(config)], input=given, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "penstock.yaml"
    path.write_text("kafka: {embedded: {listen: '127.0.0.1:0'}}\n")
    make_secrets(load_settings(path))
    return path


@pytest.mark.services
def test_keys_are_issued_listed_and_revoked(
    tmp_path: Path, kafka_bootstrap: str, service_settings: Settings, config: Path
) -> None:
    asyncio.run(ensure_topics(service_settings))
    config.write_text(json.dumps({"kafka": {"bootstrap_servers": kafka_bootstrap}}))
    settings = load_settings(config)
    issued = json.loads(run(config, "issue", "--team", "cli-tests", "--json"))
    assert issued["key"].startswith("psk-")
    given = "sk-provider-0123456789"
    registered = run(config, "issue", "--team", "cli-tests", "--credential-stdin", given=given + "\n")
    assert given not in registered
    with pytest.raises(UsageError, match="registered already"):
        run(config, "issue", "--credential-stdin", given=given + "\n")
    with pytest.raises(UsageError, match="choose another --id"):
        run(config, "issue", "--id", issued["id"])
    run(config, "revoke", issued["id"])
    text = run(config, "list", "--json")
    found = {record["id"]: record for record in json.loads(text) if record["team"] == "cli-tests"}
    assert len(found) == 2
    assert found[issued["id"]]["state"] == "revoked"
    pepper = read_secret("pepper", settings.secrets.pepper, settings.state).current
    assert issued["key"] not in text
    assert key_hash(given.encode(), pepper) not in text
    assert "cli-tests" in run(config, "list")


def test_a_wrong_id_is_explained(config: Path) -> None:
    with pytest.raises(UsageError, match="--id 'bad id': write letters"):
        run(config, "issue", "--id", "bad id")


def test_without_kafka_the_remedy_is_named(config: Path) -> None:
    with pytest.raises(ServiceUnavailable, match="penstock up"):
        run(config, "list")


def test_an_empty_credential_is_refused(config: Path) -> None:
    with pytest.raises(UsageError, match="nothing came"):
        run(config, "issue", "--credential-stdin", given="\n")
