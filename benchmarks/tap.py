"""What the tap costs: requests and chunks a second per core, beside the same load sent straight to the upstream.

    python benchmarks/tap.py [--seconds 3] [--kafka] [--tls]

Three processes: a mock upstream with ready-made answers, the tap, and this one, which loads. "Per core" is work divided
by the CPU seconds of the tap's process, so it holds while other processes share the machine; the rate that was really
seen stands beside it. `--tls`: TLS 1.3 on both sides, as OpenSSL gives it. Without `--kafka` frames are built and
thrown away; with it an embedded Kafka takes them.
"""

import argparse
import asyncio
import cProfile
import json
import pstats
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop
from load import EVENTS, cpu_s, drive, request, serve_mock, spawn

from penstock.schemas.addresses import read_run_file
from penstock.schemas.settings import Settings

LOADS = ((False, 1), (False, 256), (True, 100))


def serve_tap(settings: Settings, profile: str, ready: Any) -> None:
    """A tap whose frames go nowhere."""
    from penstock.gateway_tap.build import build
    from penstock.gateway_tap.clock import Clock
    from penstock.gateway_tap.lane import Lane
    from penstock.gateway_tap.serve import listen
    from penstock.gateway_tap.tls import server_context

    class Nowhere:
        partitions, has_room = 4, True

        def __init__(self) -> None:
            self.lanes = [Lane(number) for number in range(4)]

        def publish(self, partition: int, exchange_id: str, events: list[bytes]) -> bool:
            lane = self.lanes[partition]
            lane.add(exchange_id, events)
            lane.frames.clear()
            return True

        def partial(self, exchange_id: str, data: bytes, hidden: int) -> None:
            """Nothing is recovered here."""

    async def main() -> None:
        core = build(settings, Nowhere(), Clock())  # type: ignore[arg-type]
        core.deadlines.start()
        tls = server_context(settings.tap.tls, settings.base) if settings.tap.tls else None
        server, address = await listen(core, "127.0.0.1:0", tls=tls)
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


def report(name: str, port: int, pid: int | None, seconds: float, tls: ssl.SSLContext | None = None) -> None:
    for stream, connections in LOADS:
        before = cpu_s(pid) if pid else 0.0
        start = time.monotonic()
        load = {"stream": stream, "connections": connections, "seconds": seconds, "tls": tls}
        seen = uvloop.run(drive(port, request(stream), **load))  # type: ignore[arg-type]
        rate = seen.requests / seen.seconds
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
    parser.add_argument("--tls", action="store_true", help="on both sides")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        trusted = certify(base) if given.tls else None
        mock, upstream = spawn(serve_mock, str(base / "server.pem") if given.tls else "")
        settings = Settings(
            base=base,
            tap={
                "listen": "127.0.0.1:0",
                "admin": "127.0.0.1:0",
                **({"tls": {"certificate": "server.pem", "key": "server.pem"}} if given.tls else {}),
            },
            kafka={"embedded": {"listen": "127.0.0.1:0"}},
            upstreams=[
                {
                    "name": "mock",
                    "url": f"{'https' if given.tls else 'http'}://localhost:{upstream}",
                    "allow_private": True,
                    **({"ca": "ca.pem"} if given.tls else {}),
                }
            ],
        )
        from penstock.local.secrets import make_secrets

        make_secrets(settings)
        report("direct", upstream, None, given.seconds, trusted)
        if given.kafka:
            with_kafka(settings, given.seconds)
        else:
            tap, port = spawn(serve_tap, settings, given.profile)
            report("tap", port, tap.pid, given.seconds, trusted)
            tap.terminate()
            tap.join()
        mock.terminate()


def certify(base: Path) -> ssl.SSLContext:
    """Writes a certificate with its key, and its authority's; returns what trusts it."""
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(base / "ca.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(base / "server.pem"))
    return ssl.create_default_context(cafile=base / "ca.pem")


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
