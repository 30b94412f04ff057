"""Edge: a Faust app set up so that nothing acknowledged is lost, and the process that runs it.

The settings follow from measurements of what Faust loses and when (docs/decisions/0005): raw bytes in and out, no
tables, one coroutine per agent, the whole process fails when an agent does, a restarted instance takes its partitions
back at once.
"""

import asyncio
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final, NoReturn

import faust
import structlog
from faust.auth import SASLCredentials, SSLCredentials

from penstock.schemas.addresses import kafka_client, write_run_file
from penstock.schemas.errors import SettingsError
from penstock.schemas.settings import Settings
from penstock.schemas.topics import MAX_MESSAGE_BYTES

from .layout import check_offsets, check_partitions
from .logs import configure_logs
from .only import only_instance

_HEARTBEATS_PER_SESSION: Final = 3.3
STOP_WITHIN_S: Final = 8.0

_log = structlog.get_logger("penstock.streams.app")


def group_of(name: str) -> str:
    """The consumer group of a worker, which is also its Faust app id."""
    return f"penstock-{name}"


def instance_of(name: str, instance: int) -> str:
    """The stable name of one replica; two live processes that share it fence each other off."""
    return f"{name}-{instance}"


def make_app(name: str, settings: Settings, instance: int, *, buffered_records: int = 256) -> faust.App:
    """The Faust app of worker `name`; agents are then added to it, each with an explicit name.

    `buffered_records` bounds what waits in memory per agent. Reads the address of an embedded Kafka
    (ServiceUnavailable where it does not run) but opens no connection.
    """
    client = kafka_client(settings)
    session_s = settings.streams.session_timeout_s
    return faust.App(
        group_of(name),
        broker=[f"kafka://{server}" for server in _servers(client)],
        broker_credentials=_credentials(client),
        broker_client_id=instance_of(name, instance),
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / _HEARTBEATS_PER_SESSION,
        broker_commit_interval=1.0,
        broker_max_poll_records=buffered_records,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=instance_of(name, instance),
        consumer_max_fetch_size=MAX_MESSAGE_BYTES,
        producer_acks=-1,
        producer_max_request_size=MAX_MESSAGE_BYTES,
        stream_buffer_maxsize=buffered_records,
        stream_wait_empty=False,
        agent_supervisor="mode.CrashingSupervisor",
        topic_allow_declare=False,
        topic_disable_leader=True,
        store="memory://",
        datadir=str(settings.state / "faust" / instance_of(name, instance)),
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
        autodiscover=False,
    )


def run_app(app: faust.App, settings: Settings, name: str, instance: int) -> NoReturn:
    """Runs `app` in this process until SIGTERM or SIGINT (exit 0) or until an agent crashes (exit 1).

    Before it joins its group: ServiceUnavailable where this instance runs here already, TopicLayoutError where a
    consumed topic is missing or has a wrong partition count, OffsetLostError where the log no longer holds what the
    group has yet to read. `run/<name>.json` is written once Kafka has assigned partitions, and removed at the end.
    """
    configure_logs(instance_of(name, instance))
    only_instance(settings.run, f"{name}-{instance}")
    Path(app.conf.datadir).mkdir(parents=True, exist_ok=True)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    consumed = sorted({topic for agent in app.agents.values() for topic in agent.channel.topics})
    loop.run_until_complete(check_partitions(settings, consumed))
    loop.run_until_complete(check_offsets(settings, group_of(name), consumed))
    _publish_readiness(app, settings, name, instance)
    app.loop = loop
    worker = faust.Worker(
        app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False, workdir=Path.cwd()
    )
    worker.spinner = None
    _bound_the_end(worker, _run_file(settings, name, instance))
    try:
        worker.execute_from_commandline()
    finally:
        _run_file(settings, name, instance).unlink(missing_ok=True)
    sys.exit(0)


def _bound_the_end(worker: Any, run_file: Path) -> None:
    """A consumer whose broker is away never leaves its group, and Faust waits for it: after `STOP_WITHIN_S` the process
    ends all the same. What was not acknowledged is read again, as after any crash."""

    def give_up() -> None:
        _log.warning("stopped without leaving the group", waited_s=STOP_WITHIN_S)
        run_file.unlink(missing_ok=True)
        os._exit(1 if worker.crashed else 0)

    stop = worker.stop_and_shutdown

    def stop_within() -> None:
        timer = threading.Timer(STOP_WITHIN_S, give_up)
        timer.daemon = True
        timer.start()
        stop()
        timer.cancel()

    worker.stop_and_shutdown = stop_within


def run_name(name: str, instance: int) -> str:
    """The name of a worker's run file: the first instance needs no number."""
    return name if instance == 0 else instance_of(name, instance)


def _run_file(settings: Settings, name: str, instance: int) -> Path:
    return settings.run / f"{run_name(name, instance)}.json"


def _publish_readiness(app: faust.App, settings: Settings, name: str, instance: int) -> None:
    async def assigned(_app: faust.App, assigned: Any, **_: Any) -> None:
        content = {"pid": os.getpid(), "instance": instance, "group": group_of(name)}
        write_run_file(settings.run, run_name(name, instance), content)
        _log.info("partitions assigned", count=len(assigned))

    app.on_partitions_assigned.connect(assigned, weak=False)


def _servers(client: dict[str, Any]) -> list[str]:
    return [server.strip() for server in str(client["bootstrap_servers"]).split(",")]


def _credentials(client: dict[str, Any]) -> Any:
    protocol = str(client.get("security_protocol", "PLAINTEXT"))
    context = client.get("ssl_context")
    if protocol == "PLAINTEXT":
        return None
    if protocol == "SSL":
        if context is None:
            raise SettingsError("kafka.security: security_protocol SSL needs ssl_cafile")
        return SSLCredentials(context=context)
    return SASLCredentials(
        username=client.get("sasl_plain_username"),
        password=client.get("sasl_plain_password"),
        mechanism=client.get("sasl_mechanism", "PLAIN"),
        ssl_context=context,
    )
