"""Load and upstream of the benchmarks: raw protocols under uvloop, so that neither is what is measured.

The upstream (`Mock`) has ready-made answers; a stream comes flat out, or at the pace of the header `x-pace` (events a
second). Each event carries the moment it was sent (CLOCK_MONOTONIC, which all processes of a machine share).
"""

import asyncio
import json
import multiprocessing
import os
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvloop

EVENT: Final = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,'
    b'"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"sent_ns":%020d}\n\n'
)
EVENT_BYTES: Final = len(EVENT % 0)
BODY: Final = json.dumps(
    {
        "id": "chatcmpl-1",
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 40}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 8, "completion_tokens": 40, "total_tokens": 48},
    }
).encode()
JSON_ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)
STREAM_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM_END: Final = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
EVENTS: Final = 200
"""Events of one stream, besides `[DONE]`."""
_SENT: Final = re.compile(rb'"sent_ns":(\d{20})')
_PACE: Final = re.compile(rb"\r\nx-pace: (\d+)\r\n")


def request(
    stream: bool, *, credential: str = "sk-mock", pace: int = 0, text: str = "say something " * 10, last: bool = False
) -> bytes:
    """A chat completion as bytes. `last`: the connection is closed after its answer."""
    body = json.dumps({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": text}]}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: tap\r\nauthorization: Bearer {credential}\r\n"
        f"user-agent: bench\r\ncontent-type: application/json\r\naccept: */*\r\ncontent-length: {len(body)}\r\n"
        + (f"x-pace: {pace}\r\n" if pace else "")
        + ("connection: close\r\n" if last else "")
        + "\r\n"
    )
    return head.encode() + body


class Mock(asyncio.Protocol):
    """Answers each request with a ready-made answer; a stream in writes of one event each."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._pending = b""

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            head = self._pending[: end + 2].lower()
            at = head.index(b"content-length:") + 15
            length = int(head[at:].split(b"\r\n", 1)[0])
            if len(self._pending) < end + 4 + length:
                return
            stream = b'"stream": true' in self._pending[end : end + 4 + length]
            self._pending = self._pending[end + 4 + length :]
            if stream:
                self._transport.write(STREAM_HEAD)
                pace = _PACE.search(head)
                self._step(0, int(pace[1]) if pace else 0, time.monotonic())
            else:
                self._transport.write(JSON_ANSWER)

    def _step(self, number: int, pace: int, began: float) -> None:
        if self._transport.is_closing():
            return
        if number == EVENTS:
            self._transport.write(STREAM_END)
            return
        self._transport.write(b"%x\r\n%b\r\n" % (EVENT_BYTES, EVENT % time.monotonic_ns()))
        loop, after = asyncio.get_running_loop(), (number + 1, pace, began)
        if pace:
            loop.call_later(max(0.0, began + (number + 1) / pace - time.monotonic()), self._step, *after)
        else:
            loop.call_soon(self._step, *after)


@dataclass(slots=True)
class Seen:
    """What one run of load saw. `transit_ms` is filled where events are timed."""

    seconds: float = 0.0
    requests: int = 0
    latency_ms: list[float] = field(default_factory=list)
    transit_ms: list[float] = field(default_factory=list)


class Load(asyncio.Protocol):
    """Sends a request, waits for the end of its answer, sends the next, as long as `more` says so."""

    def __init__(self, data: bytes, stream: bool, seen: Seen, more: Callable[[], bool], timed: bool) -> None:
        self._data, self._stream, self._seen, self._more, self._timed = data, stream, seen, more, timed
        self._tail, self._left, self._asked = b"", -1, 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        if self._timed:
            now_ns = time.monotonic_ns()
            self._seen.transit_ms.extend((now_ns - int(sent)) / 1e6 for sent in _SENT.findall(data))
        if self._stream:
            self._tail = (self._tail + data)[-5:]
            over = self._tail == b"0\r\n\r\n"
        else:
            if self._left < 0:
                self._left = data.index(b"\r\n\r\n") + 4 + len(BODY)
            self._left -= len(data)
            over = self._left <= 0
        if over:
            self._seen.requests += 1
            self._seen.latency_ms.append((time.perf_counter() - self._asked) * 1000)
            if self._more():
                self._ask()
            else:
                self._transport.close()

    def _ask(self) -> None:
        self._tail, self._left = b"", -1
        self._asked = time.perf_counter()
        self._transport.write(self._data)


async def drive(
    port: int,
    data: bytes,
    *,
    stream: bool,
    connections: int,
    seconds: float,
    timed: bool = False,
    tls: ssl.SSLContext | None = None,
) -> Seen:
    """Keeps `connections` requests under way for `seconds`, and waits for the last of them."""
    seen, running, over = Seen(), connections, asyncio.Event()
    loop, began = asyncio.get_running_loop(), time.monotonic()

    def more() -> bool:
        nonlocal running
        if time.monotonic() < began + seconds:
            return True
        running -= 1
        if not running:
            over.set()
        return False

    for _ in range(connections):
        await loop.create_connection(
            lambda: Load(data, stream, seen, more, timed),
            "127.0.0.1",
            port,
            ssl=tls,
            server_hostname="localhost" if tls else None,
        )
    await over.wait()
    seen.seconds = time.monotonic() - began
    return seen


async def ask(port: int, data: bytes) -> bytes:
    """The whole answer to one request that was made with `last`. OSError where there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await reader.read(-1)
    finally:
        writer.close()


def cpu_s(pid: int) -> float:
    """Processor seconds that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def serve_mock(certificate: str, ready: Any) -> None:
    """The upstream's process: sends its port through `ready`. `certificate`: a PEM file with its key, for TLS."""
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Mock, "127.0.0.1", 0, backlog=4096, ssl=tls)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


def spawn(target: Callable[..., None], *arguments: Any) -> tuple[multiprocessing.process.BaseProcess, int]:
    """Runs `target` in a process of its own; returns it with the port that it sends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(*arguments, theirs), daemon=True)
    process.start()
    port: int = ours.recv()
    return process, port
