"""The path says which api a request belongs to, the body what it asks for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas.events import Api, Dialect
from penstock.wire.request import RequestInfo, api_of, read_request

from .conftest import Cassette

VERTEX = "projects/p/locations/europe-west4/publishers/google/models"


@pytest.mark.parametrize(
    ("dialect", "path", "api"),
    [
        ("openai", "/v1/chat/completions", "openai.chat"),
        ("openai", "/openai/v1/chat/completions?x=1", "openai.chat"),
        ("openai", "/chat/completions/", "openai.chat"),
        ("openai", "/openai/deployments/mine/chat/completions?api-version=2024-10-21", "openai.chat"),
        ("openai", "/v1/completions", "openai.completions"),
        ("openai", "/v1/embeddings", "embeddings"),
        ("openai", "/v1/messages", "anthropic.messages"),
        ("anthropic", "/v1/chat/completions", "openai.chat"),
        ("anthropic", "/anthropic/v1/messages", "anthropic.messages"),
        ("anthropic", "/v1/messages/count_tokens", "anthropic.count_tokens"),
        ("anthropic", "/v1/messages/count_tokens?beta=true", "anthropic.count_tokens"),
        ("anthropic", "/messages/count_tokens", "anthropic.count_tokens"),
        ("openai", "/messages/count_tokens", "opaque"),
        ("anthropic", "/v1/messages/batches/batch_1/cancel", "opaque"),
        ("gemini", "/v1beta/models/gemini-2.5-flash:generateContent", "gemini.generate"),
        ("gemini", "/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "gemini.generate"),
        ("gemini", f"/v1beta1/{VERTEX}/gemini-2.5-pro:streamGenerateContent", "gemini.generate"),
        ("gemini", "/v1/projects/p/locations/l/endpoints/123:generateContent", "gemini.generate"),
        ("gemini", "/v1beta/models/gemini-2.5-flash%3AgenerateContent", "gemini.generate"),
        ("gemini", "/v1beta/models/gemini-2.5-flash:GENERATECONTENT", "gemini.generate"),
        ("openai", "/v1beta/models/gemini-2.5-flash:generateContent", "gemini.generate"),
        ("gemini", "/v1beta/models/gemini-2.5-flash:countTokens", "gemini.count_tokens"),
        ("gemini", "/v1beta/models/gemini-embedding-001:embedContent", "gemini.embed"),
        ("gemini", "/v1beta/models/gemini-embedding-001:batchEmbedContents", "gemini.embed"),
        ("gemini", "/v1beta/models/gemini-2.5-flash:batchGenerateContent", "opaque"),
        ("gemini", "/v1beta/cachedContents", "opaque"),
        ("gemini", "/v1beta/generateContent", "opaque"),
        ("anthropic", "/v1/messages/batches", "opaque"),
        ("openai", "/v1/threads/abc/messages", "opaque"),
        ("openai", "/v1/responses", "openai.responses"),
        ("gemini", "/v1beta/openai/chat/completions", "openai.chat"),
        ("opaque", "/v1/chat/completions", "opaque"),
        ("openai", "/v1/models", "opaque"),
        ("openai", "/openai/v1/chat/completions?api-version=preview", "openai.chat"),
        ("openai", "/openai/deployments/mine/embeddings?api-version=2024-10-21", "embeddings"),
        ("openai", "/openai/deployments/mine/completions", "openai.completions"),
        ("openai", "/api/paas/v4/chat/completions", "openai.chat"),
        ("openai", "/inference/v1/chat/completions", "openai.chat"),
    ],
)
def test_path(dialect: Dialect, path: str, api: Api) -> None:
    assert api_of(dialect, "POST", path) == api
    assert api_of(dialect, "GET", path) == "opaque"


def test_members() -> None:
    body = {"model": "gpt-4o", "stream": True, "stream_options": {"include_usage": True}, "n": 3}
    info = read_request("openai", "POST", "/v1/chat/completions", json.dumps(body).encode())
    assert info == RequestInfo("openai.chat", "gpt-4o", True, True, 3, names=True, reports=True)


def test_a_body_that_is_not_read_leaves_what_the_path_says() -> None:
    path = "/openai/deployments/my%20model/chat/completions"
    for where, api, model in ((path, "openai.chat", "my model"), ("/v1/messages", "anthropic.messages", "")):
        assert read_request("openai", "POST", where, None) == RequestInfo(api, model, names=True, reports=True)


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash", False),
        ("/v1beta/models/Gemini-2.5-flash:streamGenerateContent?alt=sse", "Gemini-2.5-flash", True),
        (f"/v1/{VERTEX}/gemini-2.5-pro%3AstreamGenerateContent", "gemini-2.5-pro", True),
        ("/v1beta/models/gemini-embedding-001:batchEmbedContents", "gemini-embedding-001", False),
        ("/v1beta/models/gemini-2.5-flash:countTokens", "gemini-2.5-flash", False),
    ],
)
def test_google_says_model_and_stream_in_the_path(path: str, model: str, stream: bool) -> None:
    for body in (None, b"{", b'{"model": "another", "stream": true}'):
        info = read_request("gemini", "POST", path, body)
        assert (info.model, info.stream, info.n) == (model, stream, 1)


@pytest.mark.parametrize(
    "config", [{"generationConfig": {"candidateCount": 3}}, {"generation_config": {"candidate_count": 3}}]
)
def test_candidates_are_several_replies(config: dict[str, object]) -> None:
    path = "/v1beta/models/gemini-2.5-flash:generateContent"
    assert read_request("gemini", "POST", path, json.dumps(config).encode()).n == 3


def test_several_prompts_are_several_replies() -> None:
    body = json.dumps({"model": "m", "prompt": ["a", "b"], "n": 2}).encode()
    assert read_request("openai", "POST", "/v1/completions", body).n == 4
    tokens = json.dumps({"model": "m", "prompt": [1, 2, 3]}).encode()
    assert read_request("openai", "POST", "/v1/completions", tokens).n == 1


@given(body=st.one_of(st.binary(), st.recursive(st.none() | st.booleans() | st.text() | st.integers(), st.lists)))
def test_never_raises(body: object) -> None:
    raw = body if isinstance(body, bytes) else json.dumps({"model": body, "n": body, "stream_options": body}).encode()
    assert read_request("openai", "POST", "/v1/chat/completions", raw).n >= 1
    config = body if isinstance(body, bytes) else json.dumps({"generationConfig": {"candidateCount": body}}).encode()
    assert read_request("gemini", "POST", "/v1beta/models/m:generateContent", config).n >= 1


def test_recorded_requests(cassettes: list[Cassette]) -> None:
    for one in cassettes:
        info = read_request(one.dialect, "POST", one.record["path"], json.dumps(one.request).encode())
        assert info.api == one.api, one.id
        assert info.stream == one.is_stream, one.id
        assert (info.model or one.record["provider"] == "azure-openai") or not one.record["model"], one.id


@pytest.mark.parametrize(
    "path",
    [
        "/v1/%63hat/completions",
        "/v1/chat%2Fcompletions",
        "//v1//chat//completions//",
        "/v1/./chat/../chat/completions",
        "/v1/models/../chat/completions",
        "/V1/Chat/Completions",
        "/v1/chat/completions;a=b",
    ],
)
def test_no_spelling_of_a_path_evades_metering(path: str) -> None:
    assert api_of("openai", "POST", path) == "openai.chat"


def test_a_long_or_odd_model_name_is_cut() -> None:
    body = json.dumps({"model": "m" * 1_000_000}).encode()
    assert read_request("openai", "POST", "/v1/chat/completions", body).model == "m" * 256
    assert read_request("openai", "POST", "/v1/chat/completions", b'{"model":"a\\ud800"}').model == "a?"


@pytest.mark.parametrize(
    ("method", "path", "response", "stream"),
    [
        ("GET", "/v1/responses/resp_1", "resp_1", False),
        ("get", "/openai/v1/Responses/resp%5F1/?api-version=1&stream=true&starting_after=4", "resp_1", True),
        ("GET", "/v1/x/../responses//resp_1;a=b?stream=false", "resp_1", False),
        ("POST", "/v1/responses/resp_1/cancel", "resp_1", False),
        ("GET", "/v1/responses", "", False),
        ("GET", "/v1/responses/resp_1/input_items", "", False),
        ("GET", "/v1/responses/resp_1/cancel", "", False),
        ("DELETE", "/v1/responses/resp_1", "", False),
    ],
)
def test_a_response_that_is_fetched_or_cancelled(method: str, path: str, response: str, stream: bool) -> None:
    info = read_request("openai", method, path, b"")
    assert (info.of_response, info.stream, info.names) == (response, stream, False)
    assert info.api == ("openai.responses" if response else "opaque")
    assert read_request("opaque", method, path, b"").api == "opaque"


def test_a_background_response_is_begun() -> None:
    for background, path in ((True, "/v1/responses"), (False, "/v1/responses"), (True, "/v1/chat/completions")):
        info = read_request("openai", "POST", path, json.dumps({"model": "o3", "background": background}).encode())
        assert info.background == (background and "responses" in path)
