"""The tap beside nginx, Portkey and LiteLLM: one machine, one run, interleaved rounds, medians.

    python benchmarks/compare.py [--rounds 5] [--seconds 2] [--only nginx,tap] [--out run.json]

The harness is `bench/` in the folder that PENSTOCK_SHARED names (default ../shared): it starts the peers, loads them
from the other core and checks every answer. Here the tap is added as it is deployed: mode enforce, audit journal, an
issued key, a limit, and an embedded Kafka of its own, which is not counted. "Per core" is work by CPU second of the
proxy's processes.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from penstock.local.secrets import make_secrets
from penstock.schemas.keys import key_hash
from penstock.schemas.secrets import read_secret
from penstock.schemas.settings import load_settings

SCENARIOS: Final = {
    "one": ("chat", "-c 1 -d {s}s", 0.3),
    "sat": ("chat", "-c 256 -d {s}s", 0.5),
    "open": ("chat", "-c 64 -rate 40 -d {s}s", 0.5),
    "flat": ("chat", "-c 100 -d {s}s -stream -chunks 200 -timeout 120s", 0),
    "paced": ("chat", "-c 200 -n 200 -d 30s -stream -chunks 100 -delay 20ms -ts -stagger 1s -timeout 120s", 0),
}
COLUMNS: Final = (
    *("target", "req/s per core (C=256)", "spread", "added ms C=1 p50", "open loop added p99"),
    *("chunks/s per core flat", "spread", "paced CPU us/chunk", "spread", "paced added TTFT p50", "added transit p99"),
    *("RSS MiB idle/after", "errors"),
)
CREDENTIAL: Final = b"sk-mock"
COMMAND: Final = [sys.executable, "-m", "penstock.cli.main"]


def harness() -> ModuleType:
    """The shared comparison, with the loads that are wanted here."""
    shared = Path(os.environ.get("PENSTOCK_SHARED", "../shared")).resolve() / "bench" / "compare.py"
    spec = importlib.util.spec_from_file_location("bench_compare", shared)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{shared} is not there: set PENSTOCK_SHARED")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.SCENARIOS = SCENARIOS  # type: ignore[attr-defined]
    return module


@contextlib.contextmanager
def deployed(upstream: str, port: int, folder: Path) -> Iterator[Path]:
    """A Kafka with its topics, and the settings of a tap before it."""
    config = folder / "penstock.yaml"
    content = {
        "tap": {"listen": f"127.0.0.1:{port}", "admin": "127.0.0.1:0", "mode": "enforce", "audit": "journal"},
        "kafka": {"embedded": {"listen": "127.0.0.1:0"}},
        "upstreams": [{"name": "mock", "url": f"http://{upstream}"}],
        "policy": "policy.yaml",
    }
    config.write_text(json.dumps(content))
    (folder / "policy.yaml").write_text("{}")
    settings = load_settings(config)
    make_secrets(settings)
    pepper = read_secret("pepper", settings.secrets.pepper, settings.state).current
    limit = {"id": "day", "scope": "team:*", "unit": "output_tokens", "amount": 10**12, "window": "day"}
    policy = {
        "owner": {"name": "bench", "contact": "bench"},
        "version": "1",
        "keys": [{"id": "bench", "hash": key_hash(CREDENTIAL, pepper), "team": "bench"}],
        "limits": [limit],
    }
    (folder / "policy.yaml").write_text(json.dumps(policy))
    with (folder / "kafka.log").open("wb") as log:
        kafka = subprocess.Popen([*COMMAND, "local", "kafka", "--config", str(config)], stdout=log, stderr=log)
    try:
        while not (settings.run / "kafka.json").exists():
            time.sleep(0.1)
        subprocess.run([*COMMAND, "topics", "--config", str(config)], check=True, stdout=subprocess.DEVNULL)
        yield config
    finally:
        kafka.terminate()
        kafka.wait()


def run(bench: ModuleType, names: list[str], rounds: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Every measurement, by scenario and target."""
    mock_port, tap_port = bench.free_port(), bench.free_port()
    upstream = f"127.0.0.1:{mock_port}"
    os.environ.setdefault("PEERS_DIR", str(Path(tempfile.gettempdir()) / "peers"))
    llmload = str(folder / "llmload")
    subprocess.run(["go", "build", "-o", llmload, "."], cwd=Path(bench.HERE) / "llmload", check=True)
    mock = subprocess.Popen(
        ["taskset", "-c", "1", llmload, "mock", "-addr", upstream], env={**os.environ, "GOMAXPROCS": "1"}
    )
    targets = [bench.Target("direct", url=f"http://{upstream}")]
    try:
        with deployed(upstream, tap_port, folder) as config, (folder / "targets.log").open("wb") as log:
            for name in names:
                if name == "tap":
                    command = [*COMMAND, "tap", "--config", str(config)]
                    targets.append(bench.Target("tap", command, url=f"http://127.0.0.1:{tap_port}"))
                else:
                    target, why = bench.peer_target(name, f"http://{upstream}", bench.free_port())
                    print(f"# {name}: {target.version if target else 'left out: ' + why}", file=sys.stderr)
                    targets += [target] if target else []
            try:
                return measured(bench, targets, log, llmload, mock.pid, rounds, seconds)
            finally:
                stop(bench, targets)
    finally:
        mock.terminate()
        mock.wait()


def measured(
    bench: ModuleType, targets: list[Any], log: Any, llmload: str, mock: int, rounds: int, seconds: float
) -> dict[str, Any]:
    """Rounds of all loads over all targets; those that are not measured stand still."""
    for target in targets:
        target.start(log)
        why = target.ready()
        if why:
            raise SystemExit(f"{target.name} does not answer: {why}")
        target.idle_rss = bench.usage(target.proc.pid)[1] if target.proc else 0
        time.sleep(0.5)
        target.signal(bench.signal.SIGSTOP)
    data: dict[str, Any] = {name: {target.name: [] for target in targets} for name in SCENARIOS}
    for number in range(rounds):
        for scenario in SCENARIOS:
            turned = targets[number % len(targets) :] + targets[: number % len(targets)]
            for target in turned:
                target.signal(bench.signal.SIGCONT)
                time.sleep(0.3)
                row = bench.measure(llmload, target, scenario, seconds, mock)
                target.signal(bench.signal.SIGSTOP)
                data[scenario][target.name].append(row)
                errors = row.get("error_kinds", "") if row["errors"] else ""
                print(f"# {number} {scenario:6} {target.name:8} ok={row['ok']} {errors}", file=sys.stderr, flush=True)
    return {"data": data, "idle_rss": {target.name: target.idle_rss for target in targets}}


def stop(bench: ModuleType, targets: list[Any]) -> None:
    for target in targets:
        target.signal(bench.signal.SIGCONT)
        target.signal(bench.signal.SIGTERM)
    for target in targets:
        if target.proc:
            with contextlib.suppress(subprocess.TimeoutExpired):
                target.proc.wait(15)
            target.signal(bench.signal.SIGKILL)


def middle(rows: list[dict[str, Any]], figure: Any) -> tuple[float | None, float | None]:
    """The median of a figure, and its spread: (max - min) / median."""
    found = [value for value in map(figure, rows) if value is not None]
    if not found:
        return None, None
    median = statistics.median(found)
    return median, (max(found) - min(found)) / median if median else None


def report(result: dict[str, Any]) -> None:
    """Tables: the figures, then the tap against each peer."""
    data, names = result["data"], list(result["idle_rss"])

    def per_core(what: str) -> Any:
        return lambda row: row.get(what, 0) / row["cpu"] if row["cpu"] > 0.05 else None

    def added(scenario: str, name: str, kind: str, quantile: str) -> Any:
        pairs = zip(data[scenario][name], data[scenario]["direct"], strict=True)
        found = [row[kind][quantile] - base[kind][quantile] for row, base in pairs if kind in row and kind in base]
        return statistics.median(found) if found else None

    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    core: dict[str, tuple[float | None, float | None]] = {}
    for name in names:
        sat, sat_spread = middle(data["sat"][name], per_core("ok"))
        flat, flat_spread = middle(data["flat"][name], per_core("chunks"))
        paced, paced_spread = middle(
            data["paced"][name], lambda row: 1e6 * row["cpu"] / row["chunks"] if row.get("chunks") else None
        )
        core[name] = (sat, flat)
        rss = max((row["rss"] for row in data["paced"][name]), default=0)
        errors = sum(row["errors"] for rows in data.values() for row in rows[name])
        cells = [
            shown(sat, 0),
            percent(sat_spread),
            shown(added("one", name, "latency_ms", "p50"), 3),
            shown(added("open", name, "latency_ms", "p99"), 2),
            shown(flat, 0),
            percent(flat_spread),
            shown(paced, 1),
            percent(paced_spread),
            shown(added("paced", name, "ttft_ms", "p50"), 2),
            shown(added("paced", name, "transit_ms", "p99"), 2),
            f"{result['idle_rss'][name] / 2**20:.0f}/{rss / 2**20:.0f}",
            str(errors),
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")
    if "tap" in core:
        print("\n| tap against | req/s per core | chunks/s per core |\n|---|---|---|")
        for name in names:
            if name not in ("tap", "direct"):
                ratios = [shown(a / b if a and b else None, 2) for a, b in zip(core["tap"], core[name], strict=True)]
                print(f"| {name} | {ratios[0]} x | {ratios[1]} x |")


def shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", default="nginx,portkey,litellm,tap")
    parser.add_argument("--out", type=Path, help="write every measurement as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(harness(), given.only.split(","), given.rounds, given.seconds, Path(folder))
    if given.out:
        given.out.write_text(json.dumps(result))
    report(result)


if __name__ == "__main__":
    main()
