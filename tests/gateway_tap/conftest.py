"""A tap without Kafka: real sockets on both sides, a publisher that keeps everything in lists."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop

from penstock.gateway_tap.build import build
from penstock.gateway_tap.clock import Clock
from penstock.gateway_tap.core import Core
from penstock.gateway_tap.memory import MemoryPublisher
from penstock.gateway_tap.serve import listen
from penstock.schemas.control import Order
from penstock.schemas.events import Completion, PromptHead
from penstock.schemas.frames import Event
from penstock.schemas.secrets import new_secret_text
from penstock.schemas.settings import Settings

Script = Callable[["Call", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
WITHIN_S = 5.0


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Any]:
    """These tests run on the loop that the tap runs on."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass
class Call:
    """One request as an upstream got it."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass
class Upstream:
    """A raw upstream that follows a script: what it writes is written as it stands."""

    script: Script
    calls: list[Call] = field(default_factory=list)
    connections: int = 0
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    take: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        if self.take is not None:
            await self.take(reader, writer)
            return
        try:
            while True:
                call = await read_call(reader)
                self.calls.append(call)
                self.called.set()
                await self.script(call, reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.lost.set()
        finally:
            writer.close()


async def read_call(reader: asyncio.StreamReader) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = head[:-4].split("\r\n")
    call = Call(line, [(name, value.strip()) for name, _, value in (text.partition(":") for text in lines)])
    if call.header("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            call.body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    else:
        call.body = await reader.readexactly(int(call.header("content-length") or 0))
    return call


@dataclass
class Tap:
    """A tap under test."""

    core: Core
    publisher: MemoryPublisher
    host: str
    port: int
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        self.writers.append(writer)
        return reader, writer

    def ids(self) -> list[str]:
        """Exchanges in order of their first event."""
        return list(dict.fromkeys(event.exchangeid for event in self.publisher.events))

    def events(self, exchange_id: str | None = None) -> list[Event]:
        return self.publisher.exchange(exchange_id or self.ids()[-1])

    def head(self, exchange_id: str | None = None) -> PromptHead:
        return PromptHead.model_validate_json(self.events(exchange_id)[0].body)

    async def completion(self, count: int = 1) -> Completion:
        """The completion of the last exchange, once `count` of them have ended."""
        async with asyncio.timeout(WITHIN_S):
            while len(self.completions()) < count:  # noqa: ASYNC110 - the publisher under test has no event of its own
                await asyncio.sleep(0.002)
        return self.completions()[-1]

    async def first_event(self) -> None:
        """Returns once an exchange has begun."""
        async with asyncio.timeout(WITHIN_S):
            while not self.publisher.events:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.002)

    def completions(self) -> list[Completion]:
        return [
            Completion.model_validate_json(event.body)
            for event in self.publisher.events
            if event.type == "penstock.completion.v1"
        ]

    def order(self, **members: Any) -> None:
        """Gives an order, as if it had come from the control topic."""
        now_us = self.core.clock.now_us()
        given: dict[str, Any] = {
            "order_id": "order-1",
            "action": "kill",
            "scope": "exchange:none",
            "issuer": "meter",
            "rule": "limit-1",
            "reason": "the budget of team research is used up",
            "epoch": 1,
            "issued_at_us": now_us,
            "expires_at_us": now_us + 60_000_000,
            **members,
        }
        standing = self.core.orders.apply(Order(**given), now_us)
        if standing is not None and standing.order.action == "kill":
            self.core.kill(standing)


@pytest.fixture
async def upstream() -> AsyncIterator[Callable[[Script], Awaitable[Upstream]]]:
    """Starts a scripted upstream."""
    servers: list[tuple[asyncio.Server, Upstream]] = []

    async def start(script: Script) -> Upstream:
        made = Upstream(script)
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        servers.append((server, made))
        host, port = server.sockets[0].getsockname()
        made.url = f"http://{host}:{port}"
        return made

    yield start
    for server, made in servers:
        server.close()
        for writer in made.writers:
            writer.transport.abort()
    await asyncio.sleep(0.01)


@pytest.fixture
async def tap(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Tap]]]:
    """Starts a tap before upstreams: `await tap(url, dialect="openai", policy=…, mode=…)`; `each`: of all upstreams."""
    running: list[tuple[asyncio.Server, Tap]] = []
    (tmp_path / ".penstock" / "secrets").mkdir(parents=True)
    (tmp_path / ".penstock" / "secrets" / "pepper").write_text(new_secret_text())

    async def start(
        *urls: str,
        dialect: str = "openai",
        policy: dict[str, Any] | None = None,
        publisher: Any = None,
        each: dict[str, Any] | None = None,
        **options: Any,
    ) -> Tap:
        if policy is not None:
            (tmp_path / "policy.yaml").write_text(json.dumps(policy))
        names = ["openai", "other", "third"]
        settings = Settings(
            base=tmp_path,
            tap={"listen": "127.0.0.1:0", **options},  # type: ignore[arg-type]
            upstreams=[  # type: ignore[arg-type]
                {"name": names[i], "url": url, "dialect": dialect, **(each or {})} for i, url in enumerate(urls)
            ],
            policy="policy.yaml" if policy is not None else None,
        )
        publisher = publisher or MemoryPublisher()
        core = build(settings, publisher, Clock())
        core.gate.ready = True
        core.deadlines.start()
        server, address = await listen(core, settings.tap.listen)
        host, _, port = address.rpartition(":")
        started = Tap(core, publisher, host, int(port))
        running.append((server, started))
        return started

    yield start
    for server, started in running:
        core = started.core
        server.close()
        for writer in started.writers:
            writer.transport.abort()
        for relay in list(core.running.values()):
            relay.stop()
        for client in list(core.clients):
            client.abort()
        for pool in core.pools.values():
            pool.close()
        core.deadlines.close()
    await asyncio.sleep(0.01)


Answer = tuple[int, dict[str, str], bytes]


async def read_answer(reader: asyncio.StreamReader, *, head_only: bool = False) -> Answer:
    """One answer of the tap: status, headers, body."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN_S)).decode("latin-1")
    line, *lines = head[:-4].split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines)}
    status, body = int(line.split()[1]), b""
    if head_only or status in (204, 304) or status < 200:
        return status, headers, body
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read()
    return status, headers, body


@pytest.fixture
def answer() -> Callable[..., Awaitable[Answer]]:
    return read_answer


@pytest.fixture
def post() -> Callable[..., bytes]:
    """The bytes of a POST request."""

    def write(body: bytes, path: str = "/v1/chat/completions", headers: str = "", *, chunked: bool = False) -> bytes:
        framing = "transfer-encoding: chunked" if chunked else f"content-length: {len(body)}"
        head = f"POST {path} HTTP/1.1\r\nhost: tap\r\ncontent-type: application/json\r\n{headers}{framing}\r\n\r\n"
        if chunked:
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        return head.encode() + body

    return write
