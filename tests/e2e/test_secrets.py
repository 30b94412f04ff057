"""A credential in every place that authenticates is found nowhere: not in Kafka, ClickHouse, logs or state files."""

import asyncio
import base64
import secrets
from pathlib import Path

import aiohttp
import pytest

from . import scan
from .system import System
from .upstreams import upstream

pytestmark = [pytest.mark.services, pytest.mark.timeout(240)]


def _canary(place: str) -> str:
    return f"canary-{place}-{secrets.token_hex(16)}"


PLACES = (
    "bearer", "basic", "proxy", "x-api-key", "api-key", "x-goog-api-key", "cookie", "key", "userinfo", "subprotocol",
    "configured", "echoed", "split",
)  # fmt: skip


async def _requests(url: str, canaries: dict[str, str], marker: str) -> list[int]:
    """One request per place; `echoed` stands in the prompt too, `split` in the path."""
    basic = base64.b64encode(f"user:{canaries['basic']}".encode()).decode()
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"{marker} {{{{endpoint tokens=20}}}}"}]}
    echoed = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"my key is {canaries['echoed']}, hide it"}]}
    sent: list[tuple[str, dict[str, str], dict[str, object]]] = [
        ("/v1/chat/completions", {"authorization": f"Bearer {canaries['bearer']}"}, body),
        ("/v1/chat/completions", {"authorization": f"Basic {basic}"}, body),
        ("/v1/chat/completions", {"proxy-authorization": f"Bearer {canaries['proxy']}"}, body),
        ("/anthropic/v1/messages", {"x-api-key": canaries["x-api-key"]}, {**body, "max_tokens": 50}),
        ("/v1/chat/completions", {"api-key": canaries["api-key"]}, body),
        ("/v1/chat/completions", {"x-goog-api-key": canaries["x-goog-api-key"]}, body),
        ("/v1/chat/completions", {"cookie": f"session={canaries['cookie']}"}, body),
        (f"/v1/chat/completions?key={canaries['key']}&alt=sse", {}, body),
        (
            "/v1/realtime",
            {"sec-websocket-protocol": f"realtime, openai-insecure-api-key.{canaries['subprotocol']}"},
            body,
        ),
        ("/v1/chat/completions", {"x-our-token": canaries["configured"]}, body),
        ("/v1/chat/completions", {"authorization": f"Bearer {canaries['echoed']}"}, echoed),
        (f"/v1/nothing/{canaries['split']}", {"authorization": f"Bearer {canaries['split']}"}, body),
    ]
    statuses = []
    async with aiohttp.ClientSession() as session:
        for path, headers, content in sent:
            async with session.post(url + path, json=content, headers=headers) as response:
                statuses.append(response.status)
                text = await response.read()
                assert canaries["configured"].encode() not in text
    statuses.append(await _absolute(url, canaries["userinfo"]))
    return statuses


async def _absolute(url: str, canary: str) -> int:
    """A request in absolute form with user information (RFC 9112, section 3.2.2), which no library would send."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    target = f"http://user:{canary}@example.org/v1/models"
    writer.write(f"GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
    await writer.drain()
    head = await reader.readline()
    await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1])


def test_no_credential_is_kept_anywhere(tmp_path: Path) -> None:
    canaries, marker = {place: _canary(place) for place in PLACES}, f"marker-{secrets.token_hex(16)}"
    with upstream("penstock.local.endpoint", "--record", str(tmp_path / "endpoint.jsonl")) as url:
        upstreams = [
            {"name": "openai", "url": url, "dialect": "openai"},
            {"name": "anthropic", "url": url, "dialect": "anthropic"},
        ]
        system = System(tmp_path / "system", upstreams, tap={"credential_headers": ["x-our-token"]})
        with system:
            statuses = asyncio.run(_requests(system.url, canaries, marker))
            assert len(statuses) == len(PLACES)
            settled = "SELECT count() FROM penstock.exchange_facts"
            system.until(lambda: system.query(settled)[0][0] >= len(statuses), "all exchanges")
            assert system.verify()["ok"] is True
            for command in (("status", "--json"), ("spend", "--json"), ("keys", "list", "--json")):
                output = system.cli(*command)
                assert not [c for c in canaries.values() if c.encode() in output.stdout + output.stderr]
    places = scan.find(tmp_path / "system", [marker.encode(), *(value.encode() for value in canaries.values())])
    marked = {place.split()[0] for place in places[marker.encode()]}
    assert {"kafka", "clickhouse"} <= marked, marked
    leaks = {name: places[value.encode()] for name, value in canaries.items() if places[value.encode()]}
    assert leaks == {}
