"""A meter as its own process on a broker of its own, fed with frames, and what it says."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.structs import TopicPartition

from penstock.schemas import frames, topics
from penstock.schemas.addresses import kafka_client, read_run_file
from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.secrets import new_secret_text
from penstock.schemas.settings import Settings, load_settings
from penstock.trail.topics import ensure_topics

from .scripts import headers

Start = Callable[[str, Settings], AbstractContextManager[subprocess.Popen[bytes]]]
PARTITIONS = 4


class Metering:
    """Kafka with all topics, a policy with `limits`, and meters on demand."""

    def __init__(self, folder: Path, start: Start, limits: Sequence[dict[str, Any]]) -> None:
        self.folder = folder
        self.config = folder / "penstock.yaml"
        content = {
            "kafka": {"embedded": {"listen": "127.0.0.1:0"}, "partitions": PARTITIONS},
            "streams": {"session_timeout_s": 6},
            "policy": "policy.yaml",
            "state_dir": "state",
        }
        owner = {"name": "tests", "contact": "tests"}
        policy = {"owner": owner, "version": "t1", "limits": list(limits)}
        (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
        self.config.write_text(yaml.safe_dump(content))
        self.settings = load_settings(self.config)
        (self.settings.state / "secrets").mkdir(parents=True)
        (self.settings.state / "secrets" / "control_mac").write_text(new_secret_text())
        self._start = start
        self._open = ExitStack()

    def __enter__(self) -> "Metering":
        self._open.enter_context(self._start("kafka", self.settings))
        asyncio.run(ensure_topics(self.settings))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def client(self) -> dict[str, Any]:
        return kafka_client(self.settings)

    def start(self) -> subprocess.Popen[bytes]:
        """`penstock worker meter`, not necessarily ready."""
        command = [sys.executable, "-m", "penstock.cli.main", "worker", "meter", "--config", str(self.config)]
        with (self.folder / "meter.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def ready(self, process: subprocess.Popen[bytes], within_s: float = 60) -> None:
        """Waits until `process` says that partitions are assigned to it."""
        end = time.monotonic() + within_s
        while True:
            try:
                if read_run_file(self.settings.run, "meter")["pid"] == process.pid:
                    return
            except ServiceUnavailable:
                pass
            assert process.poll() is None, self.log()
            assert time.monotonic() < end, f"the meter is not ready after {within_s} s: {self.log()}"
            time.sleep(0.02)

    def log(self) -> str:
        return (self.folder / "meter.log").read_text()[-4000:]

    @staticmethod
    def kill(process: subprocess.Popen[bytes]) -> None:
        """kill -9."""
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


async def send_frame(
    producer: AIOKafkaProducer, partition: int, number: int, events: Sequence[bytes], epoch: int = 1
) -> "asyncio.Future[Any]":
    """Sends a frame as the tap would; the future is done once Kafka has it."""
    value = frames.write_frame(events)
    return await producer.send(topics.TRAFFIC, value, partition=partition, headers=headers(epoch, number))


async def all_of(client: dict[str, Any], topic: str, partitions: int) -> list[ConsumerRecord]:
    """What a topic holds now, per partition in order."""
    places = [TopicPartition(topic, number) for number in range(partitions)]
    found = []
    async with AIOKafkaConsumer(auto_offset_reset="earliest", enable_auto_commit=False, **client) as consumer:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
    return sorted(found, key=lambda record: (record.partition, record.offset))
