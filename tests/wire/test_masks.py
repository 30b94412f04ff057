"""Nothing that authenticates is published, from wherever it stands; nothing else changes."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.wire.masks import (
    REQUEST_HEADERS,
    RESPONSE_HEADERS,
    allow,
    credentials_of,
    mask_body,
    mask_path,
    maskable,
    published,
)

KEY = b"sk-proj/A1b2+C3d4=="
SECRET_HEADERS = (
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "set-cookie",
)


def test_no_header_that_authenticates_is_published() -> None:
    headers = [(name.encode(), KEY) for name in SECRET_HEADERS] + [(b"Content-Type", b"text/plain")]
    for allowed in (REQUEST_HEADERS, RESPONSE_HEADERS):
        assert published(headers, allow(allowed)) == {"content-type": "text/plain"}


def test_a_repeated_header_is_joined() -> None:
    assert published([(b"Via", b"a"), (b"VIA", b"b")], allow(RESPONSE_HEADERS)) == {"via": "a, b"}


@pytest.mark.parametrize(
    ("path", "masked"),
    [
        ("/v1/x?key=abc&alt=sse", "/v1/x?key=***&alt=sse"),
        ("/v1/x?api_key=12&api-key=34&apikey=5", "/v1/x?api_key=**&api-key=**&apikey=*"),
        ("/v1?access_token=zz;id_token=y", "/v1?access_token=**;id_token=*"),
        ("/v1?X-Amz-Signature=ff&X-Amz-Date=1", "/v1?X-Amz-Signature=**&X-Amz-Date=1"),
        ("/v1?a%70i_key=q%2Fq&x=%20", "/v1?a%70i_key=*****&x=%20"),
        ("http://user:pass@host/v1?x=1", "http://*********@host/v1?x=1"),
        ("/v1?max_tokens=5&monkey=1&keyword=k&tokens=3", "/v1?max_tokens=5&monkey=1&keyword=k&tokens=3"),
        ("/v1/keys/key=1", "/v1/keys/key=1"),
        ("/v1?key=", "/v1?key="),
    ],
)
def test_path(path: str, masked: str) -> None:
    assert mask_path(path) == masked


def test_credentials_from_every_place() -> None:
    headers = [
        (b"X-Team-Key", b"team"),
        (b"Authorization", b"Bearer one"),
        (b"x-api-key", b"two"),
        (b"API-Key", b"three"),
        (b"x-goog-api-key", b"four"),
        (b"Cookie", b"a=five; b=six"),
        (b"Proxy-Authorization", b"Basic " + base64.b64encode(b"user:seven")),
        (b"Sec-WebSocket-Protocol", b"realtime, openai-insecure-api-key.eight, openai-beta.realtime-v1"),
    ]
    found = credentials_of(headers, "http://u:nine@h/v1?key=t%2Fen&x=1", ["X-Team-Key"])
    assert found[0] == b"team"
    assert found[1] == b"one"
    expected = [b"team", b"one", b"two", b"three", b"four", b"five", b"six", b"user:seven", b"seven", b"eight", b"nine"]
    assert {*expected, b"t/en", b"t%2Fen"} <= set(found)
    assert not {b"realtime", b"1", b"openai-beta.realtime-v1"} & set(found)


def test_odd_authorizations() -> None:
    amazon = b"AWS4-HMAC-SHA256 Credential=AKIA/20261124/x, SignedHeaders=host, Signature=0a1b2c3d4e5f"
    assert credentials_of([(b"authorization", amazon)], "/") == [b"0a1b2c3d4e5f"]
    assert credentials_of([(b"authorization", b"sk-bare")], "/") == [b"sk-bare"]
    assert credentials_of([(b"authorization", b"Basic ???")], "/") == [b"???"]
    assert credentials_of([], "/") == []


@pytest.mark.parametrize(
    "written",
    [
        KEY,
        json.dumps(KEY.decode()).strip('"').replace("/", "\\/").encode(),
        "".join(f"\\u00{byte:02X}" for byte in KEY).encode(),
        quote(KEY.decode(), safe="").encode(),
        b"%73k-proj\\/A1b2+C3d4\\u003d=",
    ],
    ids=["as it is", "escaped slash", "all escaped", "percent", "mixed"],
)
def test_body(written: bytes) -> None:
    body = b'{"a":"' + written + b'","b":"' + written + b'"}'
    masked, places = mask_body(body, [KEY])
    assert masked == body.replace(written, b"*" * len(written))
    assert [end - start for start, end in places] == [len(written)] * 2


def test_words_and_syntax_are_not_looked_for() -> None:
    assert maskable([b"test", b"dummy", b"", b"completion_tokens", b'"usage":{"x', KEY]) == [KEY]


def test_overlapping_credentials_are_one_place() -> None:
    masked, places = mask_body(b"x abcdefghijkl y", [b"abcdefgh", b"efghijkl"])
    assert (masked, places) == (b"x ************ y", [(2, 14)])


@given(
    credentials=st.lists(st.binary(min_size=8, max_size=20), max_size=3),
    parts=st.lists(st.binary(max_size=10), min_size=1, max_size=6),
)
def test_equal_length_and_nothing_left(credentials: list[bytes], parts: list[bytes]) -> None:
    body = (credentials[0] if credentials else b"").join(parts)
    masked, places = mask_body(body, credentials)
    assert len(masked) == len(body)
    kept = set(range(len(body))) - {at for start, end in places for at in range(start, end)}
    assert all(masked[at] == body[at] for at in kept)
    assert all(masked[start:end] == b"*" * (end - start) for start, end in places)
    assert not any(credential in masked for credential in credentials if credential.strip(b"*"))


@given(path=st.text(), headers=st.lists(st.tuples(st.binary(), st.binary())))
def test_never_raises(path: str, headers: list[tuple[bytes, bytes]]) -> None:
    assert len(mask_path("/?" + path)) == len(path) + 2
    credentials_of([*headers, *((b"authorization", value) for _, value in headers)], "/?key=" + path)
    published(headers, allow(REQUEST_HEADERS))
