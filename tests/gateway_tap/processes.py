"""A tap as a process of its own, before an upstream that a test writes by hand."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.local.secrets import make_secrets
from penstock.schemas.addresses import read_run_file
from penstock.schemas.settings import Settings, load_settings

WITHIN_S = 30.0
ASK = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "stream": True}).encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def event(text: str) -> bytes:
    """One streamed event, framed."""
    data = f'data: {{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}\n\n'.encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


def ask(path: str = "/v1/chat/completions", headers: str = "") -> bytes:
    """A streamed request."""
    return f"POST {path} HTTP/1.1\r\nhost: t\r\n{headers}content-length: {len(ASK)}\r\n\r\n".encode() + ASK


@dataclass
class Held:
    """An upstream that begins a stream and goes on when it is told."""

    name: str = "one"
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    called: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, call: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.called += 1
        writer.write(HEAD + event(f"{self.name} begins"))
        await writer.drain()
        eof = asyncio.ensure_future(reader.read(1))
        go_on = asyncio.ensure_future(self.go_on.wait())
        await asyncio.wait([eof, go_on], return_when=asyncio.FIRST_COMPLETED)
        go_on.cancel()
        if eof.done():
            self.gone.set()
            raise ConnectionError
        eof.cancel()
        await asyncio.sleep(0)
        writer.write(event(f"{self.name} ends") + LAST)


@dataclass
class Process:
    """`penstock tap` of a folder."""

    folder: Path
    process: asyncio.subprocess.Process
    settings: Settings

    @property
    def found(self) -> dict[str, Any]:
        return read_run_file(self.settings.run, "tap")

    @property
    def authorization(self) -> str:
        """The header that the admin port asks for."""
        return f"authorization: Bearer {(self.settings.state / 'secrets' / 'admin_token').read_text().strip()}\r\n"

    def log(self) -> str:
        return (self.folder / "tap.log").read_text()

    def write(self, **changes: Any) -> None:
        """Changes penstock.yaml, by rename."""
        path = self.folder / "penstock.yaml"
        fresh = self.folder / "fresh.yaml"
        fresh.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        fresh.replace(path)

    async def said(self, text: str, times: int = 1) -> None:
        """Returns once the log holds `text` so often."""
        async with asyncio.timeout(WITHIN_S):
            while self.log().count(text) < times:  # noqa: ASYNC110 - another process, which signals nothing
                await asyncio.sleep(0.02)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = self.found["url"].partition("://")[2].rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def get(self, path: str, headers: str = "") -> tuple[int, bytes]:
        """A request to the admin port."""
        host, _, port = self.found["admin"].partition("://")[2].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {path} HTTP/1.1\r\nhost: t\r\n{headers}\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), WITHIN_S)
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def tell(self, number: int) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        return await asyncio.wait_for(self.process.wait(), WITHIN_S)


@asynccontextmanager
async def tap_process(
    folder: Path, *urls: str, arguments: tuple[str, ...] = (), files: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[Process]:
    """Starts a tap before upstreams named one, two, …; kills it at the end, however the test went."""
    config = folder / "penstock.yaml"
    tap = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "audit": "besteffort", **options.pop("tap", {})}
    upstreams = [{"name": name, "url": url} for name, url in zip(("one", "two"), urls, strict=False)]
    kafka = {"embedded": {"listen": "127.0.0.1:0"}}
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    config.write_text(json.dumps({"tap": tap, "upstreams": upstreams, "kafka": kafka, **options}))
    settings = load_settings(config)
    await asyncio.to_thread(make_secrets, settings)
    command = (sys.executable, "-m", "penstock.cli.main", "tap", "--config", str(config), *arguments)
    with (folder / "tap.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    made = Process(folder, process, settings)
    try:
        async with asyncio.timeout(WITHIN_S):
            while not (settings.run / "tap.json").exists() and process.returncode is None:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
        assert process.returncode is None, made.log()
        yield made
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
