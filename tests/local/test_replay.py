"""The replaying upstream gives recorded bodies byte for byte, however they are cut and framed."""

import asyncio
import http.client
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from penstock.local.replay import How, replay
from penstock.local.replay_cassettes import Cassette, read_cassettes


@pytest.fixture(scope="module")
def cassettes(shared: Path) -> dict[str, Cassette]:
    return read_cassettes(shared)


def fetch(url: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port)
    try:
        connection.request("POST", path, b"{}", headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def one(cassettes: dict[str, Cassette], api: str, stream: bool) -> Cassette:
    return next(c for c in cassettes.values() if c.api == api and c.stream == stream and c.status == 200 and c.usage)


@pytest.mark.parametrize("cut", ["events", "whole", "bytes", "random"])
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
async def test_bodies_arrive_byte_for_byte(cassettes: dict[str, Cassette], cut: str, framing: str) -> None:
    cassette = one(cassettes, "openai.chat", True)
    headers = {"x-replay": cassette.id, "x-replay-cut": cut, "x-replay-framing": framing, "x-replay-wire": "1"}
    async with replay(cassettes) as url:
        status, _, body = await asyncio.to_thread(fetch, url, "/v1/chat/completions", headers)
    assert (status, body) == (cassette.status, cassette.body)


async def test_a_path_may_name_the_cassette(cassettes: dict[str, Cassette]) -> None:
    cassette = one(cassettes, "anthropic.messages", False)
    async with replay(cassettes, how=How(framing="length")) as url:
        _, headers, body = await asyncio.to_thread(fetch, url, f"/cassette/{cassette.id}/v1/messages", {})
        unknown, _, _ = await asyncio.to_thread(fetch, url, "/cassette/a/b/c/v1/messages", {})
    assert body == cassette.body
    assert headers["content-type"].startswith("application/json")
    assert unknown == 404


async def test_usage_can_be_left_out(cassettes: dict[str, Cassette]) -> None:
    cassette = one(cassettes, "openai.chat", True)
    async with replay(cassettes) as url:
        headers = {"x-replay": cassette.id, "x-replay-usage": "off"}
        _, _, body = await asyncio.to_thread(fetch, url, "/v1/chat/completions", headers)
    assert body == cassette.body_without_usage()
    assert b'"completion_tokens"' in cassette.body
    assert b'"completion_tokens"' not in body


def test_every_recorded_exchange_can_be_read(cassettes: dict[str, Cassette]) -> None:
    assert len(cassettes) > 500
    for cassette in cassettes.values():
        assert not {"content-length", "transfer-encoding", "content-encoding"} & {name for name, _ in cassette.headers}


def test_usage_can_be_taken_out_of_every_recorded_chat(cassettes: dict[str, Cassette]) -> None:
    chats = [cassette for cassette in cassettes.values() if cassette.api in ("openai.chat", "anthropic.messages")]
    assert len(chats) > 200
    for cassette in chats:
        body = cassette.body_without_usage()
        assert b'"completion_tokens":' not in body and b'"output_tokens":' not in body, cassette.id
        assert cassette.usage is not None or body == cassette.body
