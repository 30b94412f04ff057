"""What runs and what does not; a part that is away is told, never raised."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from penstock.schemas.addresses import write_run_file
from penstock.schemas.settings import Settings
from penstock.trail.status import alive, behind, read_status

from .deployment import Deployment


async def test_nothing_runs(tmp_path: Path) -> None:
    status = await read_status(Settings.model_validate({"base": tmp_path}))
    assert [part.name for part in status.parts] == ["kafka", "clickhouse", "tap", "meter", "record", "seal"]
    assert not any(part.up for part in status.parts)
    assert (status.complete, status.checkpoint, status.unprotected) == (False, None, None)


@pytest.mark.services
async def test_what_runs_is_up_and_the_trail_is_counted(deployment: Deployment) -> None:
    deployment.exchange()
    await deployment.seal()
    deployment.exchange()
    write_run_file(deployment.settings.run, "record-1", {"pid": os.getpid()})
    write_run_file(deployment.settings.run, "seal", {"pid": os.getpid(), "state": "sealing"})
    status = await read_status(deployment.settings)
    assert {part.name for part in status.parts if part.up} == {"kafka", "clickhouse", "record", "seal"}
    assert status.checkpoint is not None
    assert (status.checkpoint["size"], status.unprotected, status.gaps, status.dead_letters) == (10, 10, 0, 0)
    assert set(status.lag) <= {"penstock-meter", "penstock-record"}


@pytest.mark.services
def test_the_command_exits_3_where_a_part_is_missing_and_says_why_seal_stopped(deployment: Deployment) -> None:
    write_run_file(deployment.settings.run, "seal", {"pid": os.getpid(), "state": "stopped", "error": "leaves 7–9"})
    shown = deployment.penstock("status")
    assert shown.returncode == 3
    assert "DOWN seal        it stopped: leaves 7–9" in shown.stdout.decode()
    found = json.loads(deployment.penstock("status", "--json").stdout)
    assert (found["complete"], found["parts"][0]["up"]) == (False, True)


def test_a_process_that_ended_is_not_alive() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert alive(os.getpid())
    assert not alive(ended.pid)


def test_lag_is_summed_per_topic_and_what_was_never_acknowledged_is_left_out() -> None:
    committed = {
        TopicPartition("a", 0): OffsetAndMetadata(3, ""),
        TopicPartition("a", 1): OffsetAndMetadata(9, ""),
        TopicPartition("b", 0): OffsetAndMetadata(-1, ""),
        TopicPartition("gone", 0): OffsetAndMetadata(1, ""),
    }
    assert behind(committed, {("a", 0): 5, ("a", 1): 9, ("b", 0): 7}) == {"a": 2}
