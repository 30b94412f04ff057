"""Where the parts of a deployment really are."""

from pathlib import Path

import pytest

from penstock.schemas.addresses import clickhouse_client, kafka_client, read_run_file, secret_text, write_run_file
from penstock.schemas.errors import ServiceUnavailable, SettingsError
from penstock.schemas.settings import load_settings


def test_run_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = write_run_file(tmp_path / "run", "kafka", {"listen": "127.0.0.1:1"})
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_run_file(tmp_path / "run", "kafka") == {"listen": "127.0.0.1:1"}
    write_run_file(tmp_path / "run", "kafka", {"listen": "127.0.0.1:2"})
    assert [found.name for found in (tmp_path / "run").iterdir()] == ["kafka.json"]


@pytest.mark.parametrize("text", [None, "", "[1]", "{"])
def test_a_part_that_does_not_run(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "tap.json").write_text(text)
    with pytest.raises(ServiceUnavailable, match="start"):
        read_run_file(tmp_path, "tap")


def test_embedded_services_are_looked_up(tmp_path: Path) -> None:
    config = tmp_path / "penstock.yaml"
    config.write_text("state_dir: s")
    settings = load_settings(config)
    write_run_file(settings.run, "kafka", {"listen": "127.0.0.1:7"})
    user = {"user": "reader", "password": "x"}
    write_run_file(settings.run, "clickhouse", {"url": "http://127.0.0.1:8", "reader": user, "writer": user})
    assert kafka_client(settings) == {"bootstrap_servers": "127.0.0.1:7"}
    assert clickhouse_client(settings, "reader")["username"] == "reader"


def test_services_of_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_TEST_PASSWORD", "p1")
    (tmp_path / "sasl").write_text("p2\n")
    config = tmp_path / "penstock.yaml"
    config.write_text(
        "kafka: {bootstrap_servers: 'k:9092', security: {security_protocol: SASL_SSL, "
        "sasl_plain_password: 'file:sasl'}}\n"
        "clickhouse: {url: 'http://c:8123', user: w, password: 'env:PENSTOCK_TEST_PASSWORD', reader_user: r}\n"
    )
    settings = load_settings(config)
    assert kafka_client(settings) == {
        "bootstrap_servers": "k:9092",
        "security_protocol": "SASL_SSL",
        "sasl_plain_password": "p2",
    }
    assert clickhouse_client(settings, "writer")["password"] == "p1"
    assert clickhouse_client(settings, "reader")["username"] == "r"


def test_unknown_security_keys_and_variables_are_named(tmp_path: Path) -> None:
    config = tmp_path / "penstock.yaml"
    config.write_text("kafka: {bootstrap_servers: 'k:9092', security: {sasl_magic: x}}")
    with pytest.raises(SettingsError, match="sasl_magic"):
        kafka_client(load_settings(config))
    with pytest.raises(SettingsError, match="PENSTOCK_ABSENT"):
        secret_text("env:PENSTOCK_ABSENT", tmp_path)


@pytest.mark.parametrize("security", ["sasl_plain_password: 'file:absent'", "ssl_cafile: absent"])
def test_a_secret_or_certificate_that_is_not_there_is_named(tmp_path: Path, security: str) -> None:
    config = tmp_path / "penstock.yaml"
    config.write_text(f"kafka: {{bootstrap_servers: 'a:1', security: {{{security}}}}}")
    with pytest.raises(SettingsError, match="absent"):
        kafka_client(load_settings(config))
