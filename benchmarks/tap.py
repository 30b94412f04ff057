"""What the tap costs: requests and chunks a second per core, beside the same load sent straight to the upstream.

    python benchmarks/tap.py [--seconds 3] [--kafka]

Three processes: a mock upstream with ready-made answers, the tap, and this one, which loads. "Per core" is work divided
by the CPU seconds of the tap's process, so it holds while other processes share the machine; the rate that was really
seen stands beside it. Without `--kafka` frames are built and thrown away; with it an embedded Kafka takes them.
"""

import argparse
import asyncio
import cProfile
import json
import multiprocessing
import os
import pstats
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from penstock.schemas.addresses import read_run_file
from penstock.schemas.settings import Settings

EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,'
    b'"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}\n\n'
)
BODY = json.dumps(
    {
        "id": "chatcmpl-1",
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 40}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 8, "completion_tokens": 40, "total_tokens": 48},
    }
).encode()
JSON_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM_END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
EVENTS = 200
LOADS = ((False, 1), (False, 64), (True, 100))


def request(stream: bool) -> bytes:
    body = json.dumps(
        {"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": "say something " * 10}]}
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: tap\r\nauthorization: Bearer sk-mock\r\nuser-agent: bench\r\n"
        f"content-type: application/json\r\naccept: */*\r\ncontent-length: {len(body)}\r\n\r\n"
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
            head = self._pending[:end].lower()
            at = head.index(b"content-length:") + 15
            length = int(head[at:].split(b"\r\n", 1)[0])
            if len(self._pending) < end + 4 + length:
                return
            stream = b'"stream": true' in self._pending[end : end + 4 + length]
            self._pending = self._pending[end + 4 + length :]
            if stream:
                self._transport.write(STREAM_HEAD)
                self._step(EVENTS)
            else:
                self._transport.write(JSON_ANSWER)

    def _step(self, left: int) -> None:
        if self._transport.is_closing():
            return
        if not left:
            self._transport.write(STREAM_END)
            return
        self._transport.write(b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
        asyncio.get_running_loop().call_soon(self._step, left - 1)


class Load(asyncio.Protocol):
    """Sends a request, waits for the end of its answer, sends the next."""

    def __init__(self, data: bytes, stream: bool, done: Callable[[], bool]) -> None:
        self._data, self._stream, self._done = data, stream, done

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._tail, self._left = b"", -1
        transport.write(self._data)

    def data_received(self, data: bytes) -> None:
        if self._stream:
            self._tail = (self._tail + data)[-5:]
            over = self._tail == b"0\r\n\r\n"
        else:
            if self._left < 0:
                self._left = data.index(b"\r\n\r\n") + 4 + len(BODY)
            self._left -= len(data)
            over = self._left <= 0
        if over:
            self._tail, self._left = b"", -1
            if self._done():
                self._transport.write(self._data)
            else:
                self._transport.close()


def serve_mock(ready: Any) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Mock, "127.0.0.1", 0, backlog=4096)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


def serve_tap(settings: Settings, profile: str, ready: Any) -> None:
    """A tap whose frames go nowhere."""
    from penstock.gateway_tap.app import build, listen
    from penstock.gateway_tap.clock import Clock
    from penstock.gateway_tap.lane import Lane

    class Nowhere:
        partitions, has_room = 4, True

        def __init__(self) -> None:
            self.lanes = [Lane(number) for number in range(4)]

        def publish(self, partition: int, exchange_id: str, events: list[bytes]) -> bool:
            lane = self.lanes[partition]
            lane.add(events)
            lane.frames.clear()
            return True

    async def main() -> None:
        core = build(settings, Nowhere(), Clock())  # type: ignore[arg-type]
        core.deadlines.start()
        server, address = await listen(core, "127.0.0.1:0")
        ready.send(int(address.rpartition(":")[2]))
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
        server.close()

    if profile:
        profiler = cProfile.Profile()
        profiler.runcall(uvloop.run, main())
        with Path(profile).open("w") as file:
            pstats.Stats(profiler, stream=file).sort_stats("tottime").print_stats(45)
    else:
        uvloop.run(main())


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(port: int, stream: bool, connections: int, seconds: float) -> float:
    """Requests a second."""
    count, end = 0, time.monotonic() + seconds
    running, over = connections, asyncio.Event()

    def done() -> bool:
        nonlocal count, running
        count += 1
        if time.monotonic() < end:
            return True
        running -= 1
        if not running:
            over.set()
        return False

    loop, data, start = asyncio.get_running_loop(), request(stream), time.monotonic()
    for _ in range(connections):
        await loop.create_connection(lambda: Load(data, stream, done), "127.0.0.1", port)
    await over.wait()
    return count / (time.monotonic() - start)


def spawn(target: Callable[..., None], *arguments: Any) -> tuple[multiprocessing.process.BaseProcess, int]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(*arguments, theirs), daemon=True)
    process.start()
    port: int = ours.recv()
    return process, port


def report(name: str, port: int, pid: int | None, seconds: float) -> None:
    for stream, connections in LOADS:
        before = cpu_s(pid) if pid else 0.0
        start = time.monotonic()
        rate = uvloop.run(measure(port, stream, connections, seconds))
        work = rate * (time.monotonic() - start) * (EVENTS + 1 if stream else 1)
        unit = "chunks" if stream else "requests"
        line = f"{name:8} C={connections:<4} {rate * (EVENTS + 1 if stream else 1):>10,.0f} {unit}/s"
        if pid:
            used = cpu_s(pid) - before
            line += f"   {work / max(used, 0.01):>10,.0f} per core   {used / work * 1e6:6.2f} us each"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--kafka", action="store_true")
    parser.add_argument("--profile", default="", help="write a profile of the tap to this file")
    given = parser.parse_args()
    mock, upstream = spawn(serve_mock)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        settings = Settings(
            base=base,
            tap={"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"},  # type: ignore[arg-type]
            kafka={"embedded": {"listen": "127.0.0.1:0"}},  # type: ignore[arg-type]
            upstreams=[{"name": "mock", "url": f"http://127.0.0.1:{upstream}"}],  # type: ignore[arg-type]
        )
        from penstock.local.secrets import make_secrets

        make_secrets(settings)
        report("direct", upstream, None, given.seconds)
        if given.kafka:
            with_kafka(settings, given.seconds)
        else:
            tap, port = spawn(serve_tap, settings, given.profile)
            report("tap", port, tap.pid, given.seconds)
            tap.terminate()
            tap.join()
    mock.terminate()


def with_kafka(settings: Settings, seconds: float) -> None:
    config = settings.base / "penstock.yaml"
    config.write_text(json.dumps(settings.model_dump(include={"tap", "kafka", "upstreams"}, mode="json")))
    command = [sys.executable, "-m", "penstock.cli.main"]
    children = [subprocess.Popen([*command, "local", "kafka", "--config", str(config)])]
    try:
        wait_for(settings.run / "kafka.json")
        subprocess.run([*command, "topics", "--config", str(config)], check=True)
        children.append(subprocess.Popen([*command, "tap", "--config", str(config)]))
        wait_for(settings.run / "tap.json")
        found = read_run_file(settings.run, "tap")
        time.sleep(2)
        report("tap", int(found["url"].rpartition(":")[2]), int(found["pid"]), seconds)
    finally:
        for child in reversed(children):
            child.terminate()
            child.wait()


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.1)


if __name__ == "__main__":
    main()
