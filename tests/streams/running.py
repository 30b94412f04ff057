"""A record worker as its own process, on a broker and a store of its own, and what the store then holds."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import clickhouse_connect
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from clickhouse_connect.driver.exceptions import ClickHouseError

from penstock.schemas.addresses import clickhouse_client, kafka_client, read_run_file
from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.settings import Settings, load_settings
from penstock.schemas.topics import TRAFFIC
from penstock.trail.migrate import migrate
from penstock.trail.topics import ensure_topics

Start = Callable[[str, Settings], AbstractContextManager[subprocess.Popen[bytes]]]
PARTITIONS = 4
OF_TRAFFIC = f"FROM penstock.events_log WHERE topic = '{TRAFFIC}'"
COUNT = f"SELECT count() {OF_TRAFFIC}"


class Services:
    """Kafka and the store, migrated, with all topics. `config` is the penstock.yaml that names them."""

    def __init__(self, folder: Path, start: Start) -> None:
        self.config = folder / "penstock.yaml"
        content = {
            "kafka": {"embedded": {"listen": "127.0.0.1:0"}, "partitions": PARTITIONS},
            "clickhouse": {"embedded": {"listen": "127.0.0.1:0"}},
            "streams": {"session_timeout_s": 6},
            "state_dir": "state",
        }
        self.config.write_text(yaml.safe_dump(content))
        self.settings = load_settings(self.config)
        self._start = start
        self._open = ExitStack()
        self._store = ExitStack()

    def __enter__(self) -> "Services":
        self._open.enter_context(self._start("kafka", self.settings))
        self.start_store()
        asyncio.run(ensure_topics(self.settings))
        migrate(self.settings)
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()
        self._open.close()

    def start_store(self) -> None:
        """Starts the store, again after `kill_store`."""
        self._store.enter_context(self._start("clickhouse", self.settings))

    def kill_store(self) -> None:
        """kill -9."""
        os.kill(int(read_run_file(self.settings.run, "clickhouse")["pid"]), signal.SIGKILL)
        self._store.close()
        (self.settings.run / "clickhouse.json").unlink(missing_ok=True)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a statement, texts as text."""
        client = clickhouse_connect.get_client(**clickhouse_client(self.settings, "reader"))
        try:
            return [tuple(row) for row in client.query(sql).result_rows]
        finally:
            client.close()

    def until(self, sql: str, wanted: int, within_s: float = 90) -> None:
        """Waits until the first value of `sql` is at least `wanted`; asks the store, which may be away."""
        end, found = time.monotonic() + within_s, -1
        while found < wanted:
            assert time.monotonic() < end, f"{found} of {wanted} after {within_s} s: {sql}"
            try:
                found = int(self.query(sql)[0][0])
            except (ServiceUnavailable, ClickHouseError, OSError):
                found = -1
            if found < wanted:
                time.sleep(0.05)

    def produce(self, topic: str, messages: Sequence[dict[str, Any]]) -> list[tuple[int, int]]:
        """Sends messages (keyword arguments of aiokafka's `send`) in order; their partitions and offsets."""
        return asyncio.run(self._produce(topic, messages))

    async def _produce(self, topic: str, messages: Sequence[dict[str, Any]]) -> list[tuple[int, int]]:
        client = kafka_client(self.settings)
        async with AIOKafkaProducer(enable_idempotence=True, max_request_size=2**21, **client) as producer:
            sent = [await producer.send(topic, **message) for message in messages]
            done = await asyncio.gather(*sent)
        return [(found.partition, found.offset) for found in done]

    def consume(self, topic: str, count: int) -> list[Any]:
        """The first `count` messages of a topic, in any order."""
        return asyncio.run(asyncio.wait_for(self._consume(topic, count), 60))

    async def _consume(self, topic: str, count: int) -> list[Any]:
        options = {"auto_offset_reset": "earliest", **kafka_client(self.settings)}
        async with AIOKafkaConsumer(topic, **options) as consumer:
            return [await consumer.getone() for _ in range(count)]

    def start_worker(self, instance: int = 0) -> subprocess.Popen[bytes]:
        """`penstock worker record`, not necessarily ready."""
        with (self.config.parent / f"record-{instance}.log").open("ab") as log:
            return subprocess.Popen([*self.worker_command(), "--instance", str(instance)], stdout=log, stderr=log)

    def worker_command(self) -> list[str]:
        """The command line, without its instance."""
        return [sys.executable, "-m", "penstock.cli.main", "worker", "record", "--config", str(self.config)]

    def ready(self, process: subprocess.Popen[bytes], name: str = "record", within_s: float = 60) -> None:
        """Waits until `process` says that partitions are assigned to it."""
        end = time.monotonic() + within_s
        while True:
            try:
                if read_run_file(self.settings.run, name)["pid"] == process.pid:
                    return
            except ServiceUnavailable:
                pass
            assert process.poll() is None, (self.config.parent / "record-0.log").read_text()[-3000:]
            assert time.monotonic() < end, f"{name} is not ready after {within_s} s"
            time.sleep(0.02)

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """A ready worker, stopped by SIGTERM."""
        process = self.start_worker()
        try:
            self.ready(process)
            yield process
        finally:
            process.terminate()
            process.wait(30)
