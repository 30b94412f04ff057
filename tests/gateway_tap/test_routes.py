import pytest

from penstock.gateway_tap.routes import REMEMBERED_MAX, REMEMBERED_MAX_BYTES, Routes, origin_form
from penstock.schemas.events import Dialect
from penstock.schemas.tap_settings import Timeouts, Upstream

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
        (b"/anthropic", "anthropic", b"/anthropic/"),
        (b"/anthropic?x=/v1", "anthropic", b"/anthropic/?x=/v1"),
        (b"/v1?x=/anthropic/", "openai", b"/v1?x=/anthropic/"),
        (b"/chat/completions", "openai", b"/chat/completions"),
        (b"/v1beta/models/gemini-2.5-pro:generateContent", "openai", b"/v1beta/models/gemini-2.5-pro:generateContent"),
        (b"/v1/models/a%2Fb", "openai", b"/v1/models/a%2Fb"),
        (b"/v1/files/..x/.y", "openai", b"/v1/files/..x/.y"),
        (b"http://169.254.169.254/v1/models", "openai", b"/v1/models"),
        (b"HTTPS://evil.example/anthropic/v1/x?x=1", "anthropic", b"/anthropic/v1/x?x=1"),
        (b"http://openai@evil.example:9/v1/x", "openai", b"/v1/x"),
        (b"/six/v1/x#fragment", "six", b"/v1/x"),
        (b"/six//evil.example/x", "six", b"//evil.example/x"),
    ],
)
def test_a_path_goes_to_its_upstream(target: bytes, name: str, sent: bytes) -> None:
    chosen = Routes(UPSTREAMS, Timeouts()).choose(target)
    assert chosen is not None
    assert (chosen.route.name, chosen.target) == (name, sent)


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/nope/v1/chat/completions",
        b"/antropic/v1/messages",
        b"/Openai/v1/models",
        b"/%6fpenai/v1/models",
        b"/messages",
        b"/latest/meta-data",
        b"http://169.254.169.254/latest/meta-data",
        b"http://evil.example",
        b"HTTPS://evil.example?x=1",
        b"//evil.example/v1/x",
        b"/v1x/models",
        b"/anthropic/../admin",
        b"/anthropic/..",
        b"/anthropic/v1/%2E%2e/%2e./admin",
        b"/anthropic/v1/..%2fadmin",
        b"/anthropic/.%2E\\admin",
        b"/anthropic/v1/%2f../admin",
        b"/../v1/models",
        b"/./v1/models",
    ],
)
def test_a_path_of_no_upstream_goes_nowhere(target: bytes) -> None:
    assert Routes(UPSTREAMS, Timeouts()).choose(target) is None


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("openai", "/openai/deployments/gpt-4o/chat/completions"),
        ("openai", "/openai/v1/responses"),
        ("openai", "/api/v1/chat/completions"),
        ("openai", "/beta/completions"),
        ("openai", "/vector_stores/vs_1"),
        ("anthropic", "/messages"),
        ("anthropic", "/v1/messages/count_tokens"),
        ("gemini", "/upload/v1beta/files"),
        ("gemini", "/v1beta1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent"),
        ("gemini", "/models/m:generateContent"),
        ("bedrock", "/model/anthropic.claude/invoke"),
        ("ollama", "/api/chat"),
        ("cohere", "/v2/chat"),
        ("opaque", "/v1/anything"),
    ],
)
def test_paths_that_the_sdks_build_go_to_the_first(dialect: Dialect, path: str) -> None:
    chosen = Routes([Upstream(name="first", url="https://a.example", dialect=dialect)], Timeouts()).choose(
        path.encode()
    )
    assert chosen is not None
    assert chosen.path == path


@pytest.mark.parametrize("target", [b"*", b"169.254.169.254:80", b"", b"ftp://x/y", b"/a\x7fb", "/é".encode(), b"/a b"])
def test_a_target_without_a_path_goes_nowhere(target: bytes) -> None:
    assert Routes(UPSTREAMS, Timeouts()).choose(target) is None
    assert origin_form(target) is None


def test_without_upstreams_there_is_no_route() -> None:
    assert Routes([], Timeouts()).choose(b"/v1/models") is None


def test_authorities_are_those_of_the_settings() -> None:
    routes = list(Routes(UPSTREAMS, Timeouts()))
    assert [route.authority for route in routes] == [b"api.openai.com", b"gateway.internal:8080", b"[::1]:9000"]
    assert [(route.host, route.port, route.tls) for route in routes] == [
        ("api.openai.com", 443, True),
        ("gateway.internal", 8080, False),
        ("::1", 9000, False),
    ]
    assert Routes(UPSTREAMS, Timeouts()).names == ["openai", "anthropic", "six"]


@pytest.mark.parametrize(
    "target", [b"/v1/models", b"/v1/models?key=secret", b"http://user:secret@x/v1/models", b"/nowhere/x"]
)
def test_a_target_is_chosen_for_alike_each_time_and_no_secret_is_remembered(target: bytes) -> None:
    routes = Routes(UPSTREAMS, Timeouts())
    assert routes.choose(target) == routes.choose(target) == Routes(UPSTREAMS, Timeouts()).choose(target)
    assert not any(b"secret" in known for known in routes._chosen)


def test_what_is_remembered_of_targets_is_bounded() -> None:
    routes = Routes(UPSTREAMS, Timeouts())
    for number in range(REMEMBERED_MAX + 10):
        routes.choose(b"/v1/%d" % number)
    routes.choose(b"/v1/" + b"x" * REMEMBERED_MAX_BYTES)
    assert 0 < len(routes._chosen) <= 10
