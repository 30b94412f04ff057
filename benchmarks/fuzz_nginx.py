"""The same hostile streams through real sockets, with nginx behind the tap as the judge.

`python benchmarks/fuzz_nginx.py --nginx /usr/sbin/nginx --cases 30000 --seed 1`: client ─▶ tap ─▶ nginx ─▶ counter.
What nginx passes on is one request per exchange that the tap records as answered, with its method and body; nginx
never reads two requests where the tap has sent one. Prints one JSON object; exit code 1 where a difference was found.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop
from fuzz import answers, recorded, settings
from fuzz_grammar import Grammar
from fuzz_tap import Faults, RawPublisher

from penstock.gateway_tap.app import build, listen
from penstock.gateway_tap.clock import Clock
from penstock.schemas.settings import Settings

CONF = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1; }}
  }}
}}
"""
BREATH_S = 0.001
QUIET_TURNS = 400


class Counted:
    """What stands behind nginx: notes each request, and answers it."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
                fields = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                method = head[0].split()[0].upper()
                self.requests.append((method, body))
                end = b"" if method == "HEAD" else b"{}"
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + end)
        writer.close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def with_upstream(base: Path, port: int) -> Settings:
    made = settings(base, 8_388_608)
    upstream = made.upstreams[0].model_copy(update={"url": f"http://127.0.0.1:{port}"})
    return made.model_copy(update={"upstreams": [upstream]})


class Chain:
    """Tap, nginx and what stands behind, for one run."""

    def __init__(self, base: Path, port: int, counted: Counted) -> None:
        self.publisher, self.counted = RawPublisher(), counted
        self.core = build(with_upstream(base, port), self.publisher, Clock())
        self.core.gate.ready = True
        self.address = ("", 0)

    async def run(self, pieces: list[bytes]) -> bytes:
        """One client; what it got."""
        self.publisher.raw.clear()
        self.counted.requests.clear()
        reader, writer = await asyncio.open_connection(*self.address)
        got = b""
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            await asyncio.sleep(BREATH_S)
            for _ in range(QUIET_TURNS):
                if not self.core.running and all(not client._queue for client in self.core.clients):
                    break
                await asyncio.sleep(BREATH_S)
            if not writer.transport.is_closing():
                writer.write_eof()
            got = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        while self.core.clients or self.core.running:  # noqa: ASYNC110 - both end by themselves, and tell nobody
            await asyncio.sleep(BREATH_S)
        return got


def judged(chain: Chain, got: bytes, counts: Counter[str]) -> None:
    """AssertionError with a sentence where something differs."""
    exchanges = recorded(chain.publisher.raw)
    ends = [(one["head"]["method"], one["end"]) for one in exchanges.values()]
    answers(got, [method for method, _ in ends])
    counts["exchanges"] += len(ends)
    counts["forwarded"] += sum(end["upstream_status"] != 0 for _, end in ends)
    counts.update(f"nginx_{end['upstream_status']}" for _, end in ends if end["upstream_status"])
    passed = [(method, end) for method, end in ends if end["upstream_status"] == 200]
    seen = [(method, len(body), hashlib.sha256(body).hexdigest()) for method, body in chain.counted.requests]
    told = [(method, end["request_bytes"], end["request_sha256"]) for method, end in passed]
    assert seen == told, f"{len(told)} requests are recorded as answered, and nginx has read others"


def started(nginx: str, conf: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([nginx, "-p", str(conf.parent), "-c", str(conf)], stderr=subprocess.DEVNULL)


async def fuzz(nginx: str, cases: int, seed: int) -> dict[str, Any]:
    faults, counts, differences, grammar = Faults(), Counter[str](), list[dict[str, Any]](), Grammar(seed)
    counted, port = Counted(), free_port()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        behind = await asyncio.start_server(counted.serve, "127.0.0.1", 0)
        conf = Path(folder) / "nginx.conf"
        conf.write_text(CONF.format(folder=folder, port=port, behind=behind.sockets[0].getsockname()[1]))
        process = started(nginx, conf)
        try:
            chain = Chain(Path(folder), port, counted)
            server, address = await listen(chain.core, "127.0.0.1:0")
            chain.address = ("127.0.0.1", int(address.rpartition(":")[2]))
            await asyncio.sleep(1)
            for number in range(cases):
                data = grammar.case()
                got = await chain.run(grammar.pieces(data))
                try:
                    assert not faults.seen, f"the tap fails: {faults.seen}"
                    judged(chain, got, counts)
                except AssertionError as error:
                    differences.append({"case": number, "what": str(error), "data": repr(data)})
                    faults.seen.clear()
                if number % 5000 == 4999:
                    print(f"{number + 1} cases, {len(differences)} differences", file=sys.stderr, flush=True)
            server.close()
        finally:
            process.terminate()
            process.wait()
    seconds = round(time.monotonic() - began_s, 1)
    found = {"cases": cases, "seed": seed, "seconds": seconds, **dict(sorted(counts.items()))}
    return {**found, "differences": differences[:20]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nginx", default="/usr/sbin/nginx")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    result = uvloop.run(fuzz(given.nginx, given.cases, given.seed))
    print(json.dumps(result, indent=1))
    sys.exit(1 if result["differences"] else 0)


if __name__ == "__main__":
    main()
