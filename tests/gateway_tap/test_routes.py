import pytest

from penstock.gateway_tap.routes import Routes, origin_form
from penstock.schemas.settings import Upstream

UPSTREAMS = [
    Upstream(name="openai", url="https://api.openai.com", dialect="openai"),
    Upstream(name="anthropic", url="http://gateway.internal:8080/anthropic/", dialect="anthropic"),
    Upstream(name="six", url="http://[::1]:9000", dialect="openai"),
]


@pytest.mark.parametrize(
    ("target", "name", "sent"),
    [
        (b"/v1/chat/completions", "openai", b"/v1/chat/completions"),
        (b"/openai/v1/models?x=1", "openai", b"/v1/models?x=1"),
        (b"/anthropic/v1/messages", "anthropic", b"/anthropic/v1/messages"),
        (b"/anthropic", "openai", b"/anthropic"),
        (b"/unknown/v1/x", "openai", b"/unknown/v1/x"),
        (b"http://169.254.169.254/latest/meta-data", "openai", b"/latest/meta-data"),
        (b"HTTPS://evil.example?x=1", "openai", b"/?x=1"),
        (b"http://evil.example", "openai", b"/"),
        (b"//evil.example/x", "openai", b"//evil.example/x"),
        (b"/six/v1/x#fragment", "six", b"/v1/x"),
    ],
)
def test_a_path_goes_to_its_upstream(target: bytes, name: str, sent: bytes) -> None:
    chosen = Routes(UPSTREAMS).choose(target)
    assert chosen is not None
    assert (chosen.route.name, chosen.target) == (name, sent)


@pytest.mark.parametrize("target", [b"*", b"169.254.169.254:80", b"", b"ftp://x/y", b"/a\x7fb", "/é".encode(), b"/a b"])
def test_a_target_without_a_path_goes_nowhere(target: bytes) -> None:
    assert Routes(UPSTREAMS).choose(target) is None
    assert origin_form(target) is None


def test_without_upstreams_there_is_no_route() -> None:
    assert Routes([]).choose(b"/v1/models") is None


def test_authorities_are_those_of_the_settings() -> None:
    routes = list(Routes(UPSTREAMS))
    assert [route.authority for route in routes] == [b"api.openai.com", b"gateway.internal:8080", b"[::1]:9000"]
    assert [(route.host, route.port, route.tls) for route in routes] == [
        ("api.openai.com", 443, True),
        ("gateway.internal", 8080, False),
        ("::1", 9000, False),
    ]
    assert Routes(UPSTREAMS).names == ["openai", "anthropic", "six"]
