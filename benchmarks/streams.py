"""Many streams at once: memory of idle and of running ones, and the time that the tap adds to a chunk.

    python benchmarks/streams.py [--idle 1000] [--running 5000] [--many 10000] [--workers 2] [--seconds 20]

Each running stream gets one chunk a second. The taps run as they are deployed (`compare.deployed`): mode enforce, audit
journal, Kafka. Needs Go for the load generator in `bench/` of the folder that PENSTOCK_SHARED names, and as many file
descriptors as there are streams, four times over (the limit is raised as far as the system lets it).
"""

import argparse
import json
import os
import resource
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from compare import COMMAND, deployed, harness


def load(llmload: str, url: str, streams: int, seconds: int) -> "subprocess.Popen[bytes]":
    """A load of `streams`, each of `seconds` chunks at one a second; it prints what it saw as JSON."""
    command = [llmload, "load", "-url", f"{url}/v1/chat/completions", "-H", "Authorization: Bearer sk-mock"]
    command += ["-c", str(streams), "-n", str(streams), "-d", "60s", "-stream", "-chunks", str(seconds), "-delay", "1s"]
    command += ["-ts", "-stagger", "5s", "-timeout", "300s"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "GOMAXPROCS": "1"})


def rss_mib(bench: ModuleType, pid: int) -> list[float]:
    """Resident memory of `pid` and of each of its children, in MiB."""
    stats = bench.proc_stats()
    return [round(stats[one][2] / 2**20, 1) for one in bench.tree(pid, stats) if one in stats]


def idle(bench: ModuleType, pid: int, port: int, count: int) -> None:
    before = rss_mib(bench, pid)
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    time.sleep(1)
    print(f"{count} idle connections: RSS {before} -> {rss_mib(bench, pid)} MiB", flush=True)
    for connection in held:
        connection.close()


def running(bench: ModuleType, llmload: str, pid: int, urls: tuple[str, str], streams: int, seconds: int) -> None:
    """`urls`: the upstream's own, and the tap's."""
    direct: dict[str, Any] = json.loads(load(llmload, urls[0], streams, seconds).communicate()[0])
    loading, tops = load(llmload, urls[1], streams, seconds), [rss_mib(bench, pid)]
    while True:
        try:
            seen: dict[str, Any] = json.loads(loading.communicate(timeout=1)[0])
            break
        except subprocess.TimeoutExpired:
            tops.append(rss_mib(bench, pid))
    added = {name: round(seen["transit_ms"][name] - direct["transit_ms"][name], 2) for name in ("p50", "p99")}
    print(
        f"{streams} running streams: ok {seen['ok']}, errors {seen['errors']} {seen.get('error_kinds', '')},"
        f" added transit ms {added} (direct p99 {direct['transit_ms']['p99']:.2f}), RSS at most"
        f" {max(tops, key=sum)} MiB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--running", type=int, default=5000)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=20)
    given = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    bench = harness()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        llmload = str(folder / "llmload")
        subprocess.run(["go", "build", "-o", llmload, "."], cwd=Path(bench.HERE) / "llmload", check=True)
        mock_port = bench.free_port()
        mock = subprocess.Popen([llmload, "mock", "-addr", f"127.0.0.1:{mock_port}"])
        try:
            for workers, streams in ((1, given.running), (given.workers, given.many)):
                if streams:
                    one(bench, llmload, mock_port, workers, streams, given, folder / str(workers))
        finally:
            mock.terminate()
            mock.wait()


def one(
    bench: ModuleType, llmload: str, mock_port: int, workers: int, streams: int, given: argparse.Namespace, folder: Path
) -> None:
    """A tap of so many processes, measured."""
    folder.mkdir()
    port = bench.free_port()
    with deployed(f"127.0.0.1:{mock_port}", port, folder) as config, (folder / "tap.log").open("wb") as log:
        command = [*COMMAND, "tap", "--config", str(config), "--workers", str(workers)]
        tap = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            target = bench.Target("tap", url=f"http://127.0.0.1:{port}")
            why = target.ready()
            if why:
                raise SystemExit(f"the tap does not answer: {why}; see {folder / 'tap.log'}")
            time.sleep(2)
            if workers == 1:
                idle(bench, tap.pid, port, given.idle)
            urls = (f"http://127.0.0.1:{mock_port}", f"http://127.0.0.1:{port}")
            running(bench, llmload, tap.pid, urls, streams, given.seconds)
        finally:
            tap.terminate()
            tap.wait()


if __name__ == "__main__":
    main()
