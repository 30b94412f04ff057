"""A supervised child: ready, dead, alive again, stopped. The children are scripts of ours."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.local.children import FIRST_TRIES, Child, Spec
from penstock.local.processes import command_of, read_pid
from penstock.schemas.errors import ServiceUnavailable

READY = """
import json, os, pathlib, signal, sys, time
run = pathlib.Path(sys.argv[1])
print("hello from", os.getpid(), flush=True)
(run / "fake.json").write_text(json.dumps({"pid": os.getpid()}))
"""
POLITE = READY + "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY + "time.sleep(600)"


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path: Path, heard: list[str]) -> Callable[..., Child]:
    (tmp_path / "run").mkdir()

    def child(code: str, **more: float) -> Child:
        command = (sys.executable, "-c", code, str(tmp_path / "run"))
        return Child(Spec("fake", command, **more), tmp_path, heard.append)

    return child


async def test_it_is_ready_once_it_says_so_and_stops_in_order(
    make: Callable[..., Child], tmp_path: Path, heard: list[str]
) -> None:
    child = make(POLITE)
    await child.start()
    pid = child.pid
    assert pid is not None and read_pid(tmp_path / "run", "fake") == pid
    await child.stop()
    assert (child.pid, command_of(pid), heard) == (None, [], [])
    assert not (tmp_path / "run" / "fake.pid").exists()
    assert f"hello from {pid}" in (tmp_path / "logs" / "fake.log").read_text()


async def test_one_that_is_killed_comes_back(make: Callable[..., Child], heard: list[str]) -> None:
    child = make(POLITE)
    await child.start()
    first = child.pid
    assert first is not None
    await child.crash()
    assert child.pid not in (first, None) and command_of(first) == []
    assert heard == ["fake ended with code -9: started again in 0.1 s"]
    await child.stop()


async def test_a_run_file_of_an_earlier_process_is_not_believed(make: Callable[..., Child], tmp_path: Path) -> None:
    (tmp_path / "run" / "fake.json").write_text('{"pid": 1}')
    child = make("import time; time.sleep(600)", ready_s=0.3)
    with pytest.raises(ServiceUnavailable, match="not ready within"):
        await child.start()
    assert child.pid is None


async def test_one_that_never_starts_is_given_up_with_its_last_words(
    make: Callable[..., Child], heard: list[str]
) -> None:
    child = make("raise SystemExit('the disk is full')")
    with pytest.raises(ServiceUnavailable, match=r"fake ended with code 1(.|\n)*the disk is full"):
        await child.start()
    assert len(heard) == FIRST_TRIES


async def test_wrong_use_is_not_tried_again(make: Callable[..., Child], heard: list[str]) -> None:
    child = make("raise SystemExit(2)")
    with pytest.raises(ServiceUnavailable, match="ended with code 2"):
        await child.start()
    assert len(heard) == 1


async def test_one_that_does_not_stop_is_killed(make: Callable[..., Child], heard: list[str]) -> None:
    child = make(STUBBORN, stop_s=0.2)
    await child.start()
    await child.stop()
    assert child.pid is None
    assert heard == ["fake did not stop within 0 s: killed"]


async def test_a_second_control_c_needs_no_patience(make: Callable[..., Child]) -> None:
    child = make(STUBBORN, stop_s=60)
    await child.start()
    stopping = asyncio.create_task(child.stop())
    await asyncio.sleep(0)
    child.kill()
    await asyncio.wait_for(stopping, 10)


async def test_it_can_be_started_again(make: Callable[..., Child]) -> None:
    child = make(POLITE)
    for _ in range(2):
        await child.start()
        await child.stop()
    assert child.pid is None


async def test_the_environment_of_a_later_process_can_be_changed(make: Callable[..., Child], tmp_path: Path) -> None:
    child = make("import os; print(os.environ.get('ADDED'), flush=True)\n" + POLITE)
    await child.start()
    child.environment = {"ADDED": "yes"}
    await child.stop()
    await child.start()
    await child.stop()
    assert [line for line in (tmp_path / "logs" / "fake.log").read_text().splitlines() if "hello" not in line] == [
        "None",
        "yes",
    ]


async def test_one_that_is_used_wrongly_is_not_started_again(
    make: Callable[..., Child], tmp_path: Path, heard: list[str]
) -> None:
    marker = tmp_path / "broken"
    code = POLITE.replace("print(", f"pathlib.Path({str(marker)!r}).exists() and sys.exit('policy.yaml: no') or print(")
    child = make(code.replace("sys.exit('policy", "(print('policy.yaml: no', flush=True), sys.exit(2)) and ('policy"))
    await child.start()
    marker.touch()
    with pytest.raises(ServiceUnavailable, match="ended with code 2") as raised:
        await child.crash()
    assert "hello from" not in str(raised.value), "the log of the run before is no part of it"
    assert heard[-1].endswith("it is not started again. policy.yaml: no")
    assert child.pid is None
    await child.stop()
