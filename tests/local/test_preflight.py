"""What `up` looks at before it starts anything."""

import json
import socket

import pytest

from penstock.local import preflight
from penstock.local.preflight import check_ports, check_upstreams, unreachable
from penstock.schemas.errors import ServiceUnavailable, SettingsError, UsageError
from penstock.schemas.settings import Settings

FREE = {
    "kafka": {"embedded": {"listen": "127.0.0.1:0"}},
    "clickhouse": {"embedded": {"listen": "127.0.0.1:0"}},
    "tap": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"},
}


def test_no_upstream_is_an_error_with_an_example() -> None:
    with pytest.raises(SettingsError, match="dialect: openai"):
        check_upstreams(Settings.model_validate(FREE))


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ({"kafka": {"embedded": {"listen": "{}"}}}, "kafka.embedded.listen"),
        ({"clickhouse": {"embedded": {"listen": "{}"}}}, "clickhouse.embedded.listen"),
        ({"tap": {"listen": "{}", "admin": "127.0.0.1:0"}}, "tap.listen"),
        ({"tap": {"listen": "127.0.0.1:0", "admin": "{}"}}, "tap.admin"),
    ],
)
def test_a_taken_port_is_named_with_its_key(part: dict[str, object], key: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = Settings.model_validate(FREE | json.loads(json.dumps(part).replace("{}", address)))
        with pytest.raises(ServiceUnavailable, match=rf"{address} is taken.*set {key}"):
            check_ports(settings)
    check_ports(settings)


def test_embedded_services_are_not_for_others() -> None:
    with pytest.raises(UsageError, match="no loopback"):
        check_ports(Settings.model_validate(FREE | {"kafka": {"embedded": {"listen": "0.0.0.0:0"}}}))


def test_services_of_your_own_are_not_looked_at() -> None:
    check_ports(Settings.model_validate(FREE | {"kafka": {"bootstrap_servers": "kafka.invalid:9092"}}))


async def test_an_upstream_that_does_not_answer_is_a_warning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        up, down = there.getsockname()[1], 1
        upstreams = [
            {"name": "up", "url": f"http://127.0.0.1:{up}"},
            {"name": "down", "url": f"http://127.0.0.1:{down}"},
            {"name": "unknown", "url": "https://unknown.invalid"},
        ]
        found = await unreachable(Settings.model_validate(FREE | {"upstreams": upstreams}))
    assert [sentence.split(":")[0] for sentence in found] == ["upstream down", "upstream unknown"]


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_name_that_the_tap_would_not_call_is_a_warning(monkeypatch: pytest.MonkeyPatch, allowed: bool) -> None:
    monkeypatch.setattr(preflight, "is_literal", lambda host: False)
    with socket.create_server(("127.0.0.1", 0)) as there:
        url = f"http://127.0.0.1:{there.getsockname()[1]}"
        upstreams = [{"name": "inside", "url": url, "allow_private": allowed}]
        found = await unreachable(Settings.model_validate(FREE | {"upstreams": upstreams}))
    assert [("stands for 127.0.0.1" in sentence, "allow_private" in sentence) for sentence in found] == (
        [] if allowed else [(True, True)]
    )
