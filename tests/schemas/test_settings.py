"""penstock.yaml: defaults, variables, and how a mistake is explained."""

from pathlib import Path

import pytest

from penstock.schemas.errors import SettingsError
from penstock.schemas.settings import Settings, load_settings


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "penstock.yaml"
    path.write_text(text)
    return load_settings(path)


def test_defaults_are_embedded_and_observe(tmp_path: Path) -> None:
    settings = load(tmp_path, "")
    assert settings.tap.mode == "observe"
    assert settings.kafka.embedded is not None
    assert settings.clickhouse.embedded is not None
    assert settings.run == tmp_path.resolve() / ".penstock" / "run"
    assert settings.policy_path is None


def test_variables_win_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_TAP__LISTEN", "127.0.0.1:0")
    settings = load(tmp_path, "tap: {listen: '127.0.0.1:9', id: a}\npolicy: policy.yaml")
    assert (settings.tap.listen, settings.tap.id) == ("127.0.0.1:0", "a")
    assert settings.policy_path == tmp_path.resolve() / "policy.yaml"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- a", "must be a mapping"),
        ("tap: [", "not YAML"),
        ("base: /", "must be a mapping"),
        ("tap: {lisen: x}", "tap.lisen: there is no such key"),
        ("tap: {listen: '8080'}", "tap.listen: '8080' is no address: write HOST:PORT"),
        ("tap: {listen: 'h:99999'}", "is no address"),
        ("tap: {audit: strict}", "needs mode: enforce"),
        ("upstreams: [{name: v1, url: 'http://a'}]", "is a path of the first upstream"),
        ("upstreams: [{name: v1beta, url: 'http://a'}]", "is a path of the first upstream"),
        ("upstreams: [{name: models, url: 'http://a'}]", "is a path of the first upstream"),
        ("upstreams: [{name: a, url: 'http://a', retries: {attempts: 0}}]", "attempts: Input should be greater"),
        (
            "upstreams: [{name: a, url: 'http://a', retries: {after: [dns]}}]",
            "'dns' is none of connect, reset",
        ),
        ("upstreams: [{name: a, url: 'http://a', retries: {after: [200]}}]", "no status from 400 to 599"),
        ("upstreams: [{name: a, url: 'http://a', retries: {after: [true]}}]", "True is none of connect"),
        ("upstreams: [{name: a, url: 'http://a', retries: {posts: twice}}]", "'unsent', 'keyed' or 'always'"),
        ("upstreams: [{name: a, url: 'http://a', timeouts: {total_s: 0}}]", "total_s: Input should be greater than 0"),
        ("upstreams: [{name: a, url: 'http://a', timeouts: {drain_s: 1}}]", "drain_s: there is no such key"),
        ("tap: {write_buffer_bytes: 1}", "write_buffer_bytes: Input should be greater"),
        ("tap: {max_connections: 0}", "max_connections: Input should be greater"),
        ("tap: {timeouts: {client_min_bytes_per_s: 0}}", "client_min_bytes_per_s: Input should be greater than 0"),
        ("upstreams: [{name: a, url: 'ftp://a'}]", "write a URL such as"),
        ("upstreams: [{name: a, url: 'http://u:p@a'}]", "carries no user or password"),
        ("upstreams: [{name: a, url: 'http://a?b'}]", "ends with its path"),
        ("upstreams: [{name: a, url: 'http://a'}, {name: a, url: 'http://b'}]", "'a' stands twice"),
        ("kafka: {embedded: {listen: 'a:1'}, bootstrap_servers: 'b:2'}", "not both"),
        ("clickhouse: {embedded: {listen: 'a:1'}, url: 'http://b'}", "not both"),
        ("trail: {origin: 'a b'}", "trail.origin"),
        ("trail: {checkpoints_file: ''}", "trail.checkpoints_file"),
        ("state_dir: ''", "state_dir"),
        ("tap: {listen: 'a:1', listen: 'a:2'}", "in line 1, column 22: 'listen' stands twice"),
        ("tap: {trusted_callers: ['999.0.0.0/8']}", "neither a network such as 10.0.0.0/8 nor the id of a key"),
        ("tap: {credential_headers: ['x key']}", "tap.credential_headers.0"),
    ],
)
def test_mistakes_name_file_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert complaint in str(caught.value)
    assert "penstock.yaml" in str(caught.value)


def test_callers_are_networks_or_keys(tmp_path: Path) -> None:
    callers = ("10.0.0.0/8", "10.1.2.3/8", "::1", "gateway-key", "key:gateway-key")
    assert load(tmp_path, f"tap: {{trusted_callers: {list(callers)}}}").tap.trusted_callers == callers


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_bytes(b"tap: \xff\x80")
    with pytest.raises(SettingsError, match=r"penstock.yaml: not YAML: invalid"):
        load_settings(tmp_path / "penstock.yaml")


def test_an_absent_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="`penstock init` writes one"):
        load_settings(tmp_path / "absent.yaml")


def test_passwords_do_not_show(tmp_path: Path) -> None:
    settings = load(tmp_path, "clickhouse: {url: 'http://a', password: hunter2, reader_password: hunter3}")
    assert "hunter" not in repr(settings)
    settings = load(tmp_path, "kafka: {bootstrap_servers: 'a:1', security: {sasl_plain_password: hunter2}}")
    assert "hunter" not in repr(settings)


@pytest.mark.parametrize(
    "text",
    [
        "clickhouse: {url: 'http://a', password: hunter2",
        "clickhouse:\n  password: 'hunter2\n",
        "clickhouse: {password: hunter2}}",
        "upstreams: [{name: a, url: 'htps://user:hunter2@a'}]",
        "upstreams: [{name: a, url: 'https://user:hunter2@a'}]",
    ],
)
def test_no_complaint_quotes_a_password(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert "hunter" not in str(caught.value)
