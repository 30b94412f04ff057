"""A real tap, at DEBUG, says no credential and no body anywhere: output, journal, run files, error pages, metrics; and
not when its own code fails in the middle of an exchange with the credential in its hands."""

import asyncio
import base64
import contextlib
import resource
import secrets
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from penstock.local.secrets import make_secrets
from penstock.schemas.addresses import read_run_file
from penstock.schemas.settings import Settings, load_settings

DEBUG = "import logging; logging.basicConfig(level=logging.DEBUG)\n"
MAIN = "from penstock.cli.main import main; main(['tap', '--config', {config!r}])"
FAULT = """
from penstock.gateway_tap.{module} import {name}
def fail(self, *given, **named):
    mine = [given, named]
    raise ValueError(repr(given) + repr(named))
{name}.{method} = fail
"""
IN_A_CALLBACK = """
import asyncio
from penstock.gateway_tap.relay import Relay
start = Relay.start
def later(self):
    asyncio.get_running_loop().call_soon(int, self._upload.whole)
    start(self)
Relay.start = later
"""


class Process:
    """`penstock tap` with a prologue, without a Kafka."""

    def __init__(self, folder: Path, upstream: str, prologue: str = "") -> None:
        self.folder = folder
        config = folder / "penstock.yaml"
        content = {
            "tap": {
                "listen": "127.0.0.1:0",
                "admin": "127.0.0.1:0",
                "credential_headers": ["x-our-token"],
                "timeouts": {"client_header_s": 0.5},
            },
            "upstreams": [{"name": "openai", "url": upstream}],
            "kafka": {"bootstrap_servers": "127.0.0.1:9"},
            "state_dir": "state",
        }
        config.write_text(yaml.safe_dump(content))
        self.settings: Settings = load_settings(config)
        make_secrets(self.settings)
        self.output = folder / "tap.log"
        with self.output.open("wb") as log:
            command = [sys.executable, "-c", DEBUG + prologue + MAIN.format(config=str(config))]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while not (self.settings.run / "tap.json").exists():
            assert self.process.poll() is None and time.monotonic() < end, self.output.read_text()
            time.sleep(0.02)

    def address(self, name: str) -> tuple[str, int]:
        host, _, port = str(read_run_file(self.settings.run, "tap")[name]).removeprefix("http://").rpartition(":")
        return host, int(port)

    async def say(self, data: bytes, name: str = "url") -> bytes:
        """Everything that the tap answers until it closes."""
        reader, writer = await asyncio.open_connection(*self.address(name))
        writer.write(data)
        got = b""
        with contextlib.suppress(ConnectionError):
            got = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        return got

    def everything(self) -> Iterator[tuple[Path, bytes]]:
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path.parent.name != "secrets":
                yield path, path.read_bytes()

    def stop(self) -> None:
        """kill -9: a tap that stops would wait for its Kafka. What it printed and mapped is in its files anyway."""
        self.process.kill()
        self.process.wait()


def asked(path: str, headers: dict[str, str], body: bytes = b'{"model":"m"}') -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def places(canary: str) -> list[bytes]:
    """Requests with the canary in every place that authenticates, and in requests that are refused."""
    basic = base64.b64encode(f"user:{canary}".encode()).decode()
    bearer = {"authorization": f"Bearer {canary}"}
    body = b'{"model":"m","messages":[{"role":"user","content":"mine is %b, %b"}]}'
    spelt = "".join(f"\\u{ord(letter):04x}" for letter in canary).encode()
    head = f"POST /v1/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {canary}\r\n".encode()
    return [
        asked("/v1/x", bearer),
        asked("/v1/x", {"authorization": f"Basic {basic}"}),
        asked("/v1/x", {"proxy-authorization": f"Bearer {canary}"}),
        *(asked("/v1/x", {name: canary}) for name in ("x-api-key", "api-key", "x-goog-api-key", "x-our-token")),
        asked("/v1/x", {"cookie": f"session={canary}; other=1"}),
        asked(f"/v1/x?key={canary}", {}),
        asked(f"/v1/x?api%5Fkey={canary}", {}),
        asked(f"http://user:{canary}@x/v1/x", {}),
        asked("/v1/x", {"sec-websocket-protocol": f"realtime, openai-insecure-api-key.{canary}"}),
        asked("/v1/x", bearer, body % (canary.encode(), spelt)),
        asked(f"/nothing/{canary}", bearer),
        asked(f"/v1/{canary}", {**bearer, "user-agent": canary, "x-request-id": canary}),
        head + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        head + b"bad header\r\n\r\n",
        head + b"content-length: x\r\n\r\n",
        head + b"x-slow: ",
        head + b"x: " + b"a" * 100_000 + b"\r\n\r\n",
    ]


@pytest.fixture
async def echo(upstream):
    """An upstream that gives back every header and the body, in its answer's head too."""

    async def script(call, reader, writer):
        said = repr(call.headers).encode() + call.body
        token = (call.header("authorization") or "none").encode()
        head = b"HTTP/1.1 200 OK\r\nx-echo: %b\r\nx-request-id: %b\r\nset-cookie: a=%b\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % (token, token, token, len(said)) + said)

    return await upstream(script)


@pytest.fixture
def process(tmp_path):
    started: list[Process] = []

    def start(url: str, prologue: str = "") -> Process:
        started.append(Process(tmp_path, url, prologue))
        return started[-1]

    yield start
    for one in started:
        one.stop()


async def test_no_place_that_authenticates_is_told_anywhere(echo, process):
    canary, marker = f"canary-{secrets.token_hex(16)}", b"marker-%d" % secrets.randbits(60)
    tap = await asyncio.to_thread(process, echo.url)
    await tap.say(asked("/v1/x", {}, b'{"model":"%b"}' % marker))
    answers = [await tap.say(data) for data in places(canary)]
    refused = [answer for answer in answers if not answer.startswith(b"HTTP/1.1 200")]
    assert len(refused) == 6
    assert all(b"x-penstock-exchange-id: " in answer for answer in answers)
    admin = [
        await tap.say(b"GET %b HTTP/1.1\r\n\r\n" % path, "admin") for path in (b"/metrics", b"/readyz", b"/nothing")
    ]
    await asyncio.to_thread(tap.stop)
    assert not [answer for answer in [*refused, *admin] if canary.encode() in answer]
    held = dict(tap.everything())
    assert [path for path, content in held.items() if marker in content and "journal" in str(path)]
    assert marker not in tap.output.read_bytes()
    spelt = base64.b64encode(f"user:{canary}".encode())
    assert not [path for path, content in held.items() if canary.encode() in content or spelt in content]


@pytest.mark.parametrize(
    "fault",
    [
        FAULT.format(module="capture", name="Capture", method="answer"),
        FAULT.format(module="tape", name="Tape", method="prompt"),
        FAULT.format(module="delivery", name="Delivery", method="head"),
        FAULT.format(module="routes", name="Routes", method="choose"),
        FAULT.format(module="identity", name="Keys", method="find"),
        IN_A_CALLBACK,
    ],
    ids=["answer", "prompt", "head", "route", "key", "callback"],
)
async def test_a_fault_in_the_middle_tells_its_place_and_no_value(echo, process, fault):
    canary = f"canary-{secrets.token_hex(16)}"
    tap = await asyncio.to_thread(process, echo.url, fault)
    body = b'{"model":"m","messages":[{"role":"user","content":"secret words %b"}]}' % canary.encode()
    answer = await tap.say(asked(f"/v1/x?note={canary}", {"authorization": f"Bearer {canary}"}, body))
    await asyncio.to_thread(tap.stop)
    said = tap.output.read_bytes()
    assert b'"fault"' in said
    assert b'"places"' in said
    assert not [word for word in (canary.encode(), b"secret words") if word in said]
    if not answer.startswith(b"HTTP/1.1 200"):
        assert canary.encode() not in answer


async def test_what_the_tap_writes_is_its_owners_alone_and_no_core_is_written(echo, process):
    tap = await asyncio.to_thread(process, echo.url)
    await tap.say(asked("/v1/x", {}))
    assert resource.prlimit(tap.process.pid, resource.RLIMIT_CORE)[0] == 0
    await asyncio.to_thread(tap.stop)
    state = tap.settings.state
    wrong = {
        str(path.relative_to(state)): oct(path.stat().st_mode)
        for path in [state, *state.rglob("*")]
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    }
    assert wrong == {}
