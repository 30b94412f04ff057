"""The tap as a process: addresses, readiness, metrics, orders from Kafka, a clean end."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.local.endpoint import Endpoint
from penstock.local.secrets import make_secrets
from penstock.schemas.addresses import read_run_file
from penstock.schemas.settings import Settings, load_settings
from penstock.trail.topics import ensure_topics

ASK = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}).encode()


def get(url: str, body: bytes | None = None, token: str = "sk-canary-12345") -> tuple[int, bytes]:
    request = urllib.request.Request(url, data=body, headers={"authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def until(check: Callable[[], bool], within_s: float = 30.0) -> None:
    end = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextlib.contextmanager
def running(base: Path, upstream: str, **options: Any) -> Iterator[tuple[subprocess.Popen[bytes], Settings]]:
    config = base / "penstock.yaml"
    content = {
        "tap": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", **options.pop("tap", {})},
        "upstreams": [{"name": "openai", "url": upstream}],
        "kafka": {"embedded": {"listen": "127.0.0.1:0"}},
        **options,
    }
    config.write_text(json.dumps(content))
    settings = load_settings(config)
    make_secrets(settings)
    with (base / "tap.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock.cli.main", "tap", "--config", str(config)], stderr=log, stdout=log
        )
    try:
        until(lambda: (settings.run / "tap.json").exists() or process.poll() is not None)
        assert process.poll() is None, (base / "tap.log").read_text()
        yield process, settings
    finally:
        process.kill()
        process.wait()


def stop(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(30)


async def test_observe_serves_without_kafka_and_ends_cleanly(tmp_path: Path) -> None:
    async with Endpoint(tmp_path / "endpoint.jsonl") as endpoint:
        await asyncio.to_thread(observe_without_kafka, tmp_path, endpoint.url)
    assert "sk-canary-12345" not in (tmp_path / "tap.log").read_text()


def observe_without_kafka(base: Path, upstream: str) -> None:
    with running(base, upstream, tap={"timeouts": {"drain_s": 1}}) as (process, settings):
        found = read_run_file(settings.run, "tap")
        assert found["pid"] == process.pid
        assert found["tap"] == "tap-1"
        assert found["epoch"] > 0
        assert get(f"{found['url']}/v1/chat/completions", ASK)[0] == 200
        assert get(f"{found['admin']}/healthz") == (200, b"ok\n")
        token = (settings.state / "secrets" / "admin_token").read_text().strip()
        status, body = get(f"{found['admin']}/readyz", token=token)
        assert (status, json.loads(body)["stale"]) == (200, True)
        assert get(f"{found['admin']}/readyz") == (200, b'{"ready":true}')
        assert get(f"{found['admin']}/metrics")[0] == 401
        metrics = get(f"{found['admin']}/metrics", token=token)[1].decode()
        assert 'penstock_tap_exchanges_total{outcome="completed"} 1' in metrics
        assert get(f"{found['admin']}/other")[0] == 404
        assert stop(process) == 0
    assert '"unpublished_events": ' in (base / "tap.log").read_text()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = tmp_path / "penstock.yaml"
        for key, other in (("listen", "admin"), ("admin", "listen")):
            tap = {key: address, other: "127.0.0.1:0"}
            config.write_text(json.dumps({"tap": tap, "upstreams": [{"name": "a", "url": "http://127.0.0.1:9"}]}))
            make_secrets(load_settings(config))
            command = [sys.executable, "-m", "penstock.cli.main", "tap", "--config", str(config)]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert ended.returncode == 3
            assert f"penstock: tap.{key}: cannot listen on {address} (" in ended.stderr
            assert "Traceback" not in ended.stderr and "Unclosed" not in ended.stderr


def test_enforce_is_not_ready_without_kafka(tmp_path: Path) -> None:
    with running(tmp_path, "http://127.0.0.1:9", tap={"mode": "enforce"}) as (_, settings):
        found = read_run_file(settings.run, "tap")
        assert get(f"{found['admin']}/readyz")[0] == 503
        assert get(f"{found['url']}/v1/chat/completions", ASK)[0] == 503


@pytest.mark.services
async def test_strict_serves_with_kafka(tmp_path: Path, kafka_bootstrap: str, service_settings: Settings) -> None:
    await ensure_topics(service_settings)
    async with Endpoint(tmp_path / "endpoint.jsonl") as endpoint:
        await asyncio.to_thread(strict_with_kafka, tmp_path, endpoint.url, kafka_bootstrap)


def strict_with_kafka(base: Path, upstream: str, bootstrap: str) -> None:
    kafka = {"bootstrap_servers": bootstrap}
    with running(base, upstream, tap={"mode": "enforce", "audit": "strict"}, kafka=kafka) as (process, settings):
        found = read_run_file(settings.run, "tap")
        until(lambda: get(f"{found['admin']}/readyz")[0] == 200)
        for _ in range(20):
            assert get(f"{found['url']}/v1/chat/completions", ASK)[0] == 200
        assert stop(process) == 0
    assert '"unpublished_events": 0' in (base / "tap.log").read_text()
