"""The embedded broker as a user runs it: `penstock local kafka`, killed, cut short, in a bare environment.

The jars come from the machine's cache (`PENSTOCK_KAFKA_JARS` names another folder): only the first run downloads.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from penstock.local.jars import class_path, jar_folder
from penstock.local.processes import command_of, read_pid
from penstock.schemas.addresses import kafka_client, read_run_file
from penstock.schemas.settings import Settings

pytestmark = pytest.mark.services
Start = Callable[[str, Settings], AbstractContextManager[subprocess.Popen[bytes]]]
PARTITION = TopicPartition("kept", 0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({"base": tmp_path, "kafka": {"embedded": {"listen": "127.0.0.1:0"}}})


async def write(settings: Settings, value: bytes) -> None:
    admin = AIOKafkaAdminClient(**kafka_client(settings))
    await admin.start()
    await admin.create_topics([NewTopic("kept", 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(**kafka_client(settings), acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait("kept", value, partition=0)


async def read(settings: Settings) -> bytes | None:
    async with AIOKafkaConsumer(**kafka_client(settings), auto_offset_reset="earliest") as consumer:
        consumer.assign([PARTITION])
        return (await consumer.getone()).value


async def test_what_it_acknowledged_survives_stops_and_kills(settings: Settings, start_embedded: Start) -> None:
    with start_embedded("kafka", settings) as process:
        await write(settings, b"acknowledged")
        broker = read_pid(settings.run, "kafka-broker")
        assert broker is not None
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert not (settings.run / "kafka.json").exists()
    assert command_of(broker) == []
    with start_embedded("kafka", settings) as process:
        assert await read(settings) == b"acknowledged"
        process.kill()
    with start_embedded("kafka", settings) as process:  # the broker of the killed one died with it, or is stopped now
        assert await read(settings) == b"acknowledged"
        os.kill(read_pid(settings.run, "kafka-broker") or 0, signal.SIGKILL)
        assert process.wait(20) == 3
    assert b"the broker ended with code -9" in (settings.state / "kafka.stderr").read_bytes()
    (settings.state / "kafka" / "data" / "meta.properties").write_text("")
    with start_embedded("kafka", settings):
        assert await read(settings) == b"acknowledged"


async def test_no_topic_is_made_by_accident(kafka_bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        (answer,) = await admin.describe_topics(["a-misspelt-topic"])
        assert answer["error_code"] == UnknownTopicOrPartitionError.errno
        assert "a-misspelt-topic" not in await admin.list_topics()
    finally:
        await admin.close()


def test_it_starts_without_java_home_or_path(tmp_path: Path) -> None:
    class_path(tmp_path)  # in the machine's cache by now
    command = [sys.executable, "-P", "-m", "penstock.cli.main", "local", "kafka", "--listen", "127.0.0.1:0"]
    bare = {"PATH": "/nonexistent", "HOME": "", "PENSTOCK_KAFKA_JARS": str(jar_folder(tmp_path, os.environ))}
    with subprocess.Popen([*command, "--state", str(tmp_path)], env=bare, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert b'"ready"' in process.stderr.readline()
        process.terminate()
        assert process.wait(20) == 0


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "penstock.cli.main", "local", "kafka", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("--listen", address, "--state", str(tmp_path))
    assert done.returncode == 3
    assert f"{address} is taken" in done.stderr and "kafka.embedded.listen" in done.stderr


def test_others_cannot_be_let_in(tmp_path: Path) -> None:
    done = run("--listen", "0.0.0.0:9092", "--state", str(tmp_path))
    assert (done.returncode, "no loopback address" in done.stderr) == (2, True)


def test_a_second_one_on_the_same_folder_says_who_is_there(service_settings: Settings, kafka_bootstrap: str) -> None:
    done = run("--listen", "127.0.0.1:0", "--state", str(service_settings.state))
    assert done.returncode == 3
    assert f"process {read_run_file(service_settings.run, 'kafka')['pid']} already runs" in done.stderr
