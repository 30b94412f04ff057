"""The tap, wired: reads in the order of the data.

client ─▶ downstream ─▶ relay ─▶ upstream        (pool, routes, identity, admission beside it)
                          │ tape, capture
                          ▼
                       publish ─▶ Kafka ─▶ control ─▶ orders, keys ─▶ relay.kill
"""

import asyncio
import contextlib
import functools
import gc
import logging
import os
import signal
from collections.abc import Callable
from typing import Any, Final

import structlog
import uvloop

from penstock.schemas.addresses import kafka_client, write_run_file
from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.policy import load_policy
from penstock.schemas.secrets import read_secret
from penstock.schemas.settings import Settings

from . import gauges
from .admin import Admin
from .admission import Gate, asks_model
from .clock import Clock
from .control import Control
from .core import Core
from .deadlines import Deadlines
from .descriptors import room_for_clients
from .downstream import Downstream
from .faults import be_silent
from .identity import Keys, Trusted
from .journal_gauges import journal_families
from .journal_keeper import opened
from .orders import Orders
from .outlet import Turn
from .pool import Pool
from .publish import KafkaPublisher
from .publisher import Publisher
from .routes import Routes
from .salts import Salts

BACKLOG: Final = 4096
NO_ROOM: Final = {
    "journal": "its journal is full, and the policy serves no requests until Kafka has taken some of it",
    "strict": "the audit trail cannot be written",
    "besteffort": "the audit trail cannot be written",
}
FLUSH_S: Final = 10.0
TICK_S: Final = 0.5

log = structlog.get_logger("penstock.tap")


def build(settings: Settings, publisher: Publisher, clock: Clock) -> Core:
    """All parts of a tap but its sockets and its readers of Kafka."""
    policy = load_policy(settings.policy_path)
    deadlines = Deadlines(clock, settings.tap.timeouts)
    turn = Turn()
    routes = Routes(settings.upstreams, settings.tap.timeouts)
    return Core(
        tap=settings.tap,
        routes=routes,
        pools={route.name: Pool(route, deadlines, clock, turn, settings.tap.dns_ttl_s) for route in routes},
        keys=Keys(policy.keys),
        trusted=Trusted(settings.tap.trusted_callers),
        pepper=read_secret("pepper", settings.secrets.pepper, settings.state).current,
        orders=Orders(settings.tap.id),
        gate=Gate(settings.tap.mode, ready=settings.tap.mode == "observe", no_room=NO_ROOM[settings.tap.audit]),
        publisher=publisher,
        clock=clock,
        salts=Salts(),
        deadlines=deadlines,
        turn=turn,
        policy_version=policy.version,
        asks_usage=policy.usage.ask_providers,
        asks_model=asks_model(policy),
        room=_room(settings.tap.max_connections),
        on_journal_full=policy.failures.on_journal_full,
    )


def _room(wanted: int) -> int:
    room = room_for_clients(wanted)
    if room < wanted:
        log.warning("few_descriptors", connections=room, max_connections=wanted, remedy="raise the limit on open files")
    return room


async def listen(core: Core, address: str, *, serving: bool = True) -> tuple[asyncio.Server, str]:
    """Serves clients at `address`, at once or from `start_serving` on; returns the server and its real address.

    ServiceUnavailable where the address is taken, or is not one of this machine.
    """
    return await _listen("tap.listen", address, lambda: Downstream(core), serving)


class App:
    """One tap process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = Clock()
        self._epoch = self._clock.now_us()
        client = functools.partial(kafka_client, settings)
        tap, partitions, keeper = settings.tap, settings.kafka.partitions, opened(settings, self._epoch, self._clock)
        self._publisher = KafkaPublisher(
            tap.id, self._epoch, partitions, tap.queue_max_bytes, client, self._clock, keeper
        )
        self._core = build(settings, self._publisher, self._clock)
        self._publisher.on_pressure = self._core.press
        secrets = read_secret("control_mac", settings.secrets.control_mac, settings.state).all
        self._control = Control(self._core, secrets, client)
        self._loss = load_policy(settings.policy_path).failures
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT; then lets running exchanges end, and flushes."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        server, address = await listen(self._core, self._settings.tap.listen, serving=False)
        admin, admin_address = await _listen(
            "tap.admin", self._settings.tap.admin, lambda: Admin(self._status, self._metrics)
        )
        self._publisher.start()
        self._core.deadlines.start()
        reading = asyncio.create_task(self._control.run())
        ticking = asyncio.create_task(self._tick())
        await server.start_serving()
        self._publish_addresses(address, admin_address)
        gc.collect()
        gc.freeze()
        await self._stopping.wait()
        await self._drain(server)
        for task in (reading, ticking):
            task.cancel()
        await asyncio.gather(reading, ticking, return_exceptions=True)
        lost = await self._publisher.close(FLUSH_S)
        admin.close()
        log.info("stopped", unpublished_events=lost)

    async def _drain(self, server: asyncio.Server) -> None:
        core = self._core
        core.gate.stopping = True
        server.close()
        for client in list(core.clients):
            client.stop()
        if core.running:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(core.quiet.wait(), self._settings.tap.timeouts.drain_s)
        for relay in list(core.running.values()):
            relay.stop()
        for pool in core.pools.values():
            pool.close()
        core.deadlines.close()

    async def _tick(self) -> None:
        """Twice a second: readiness, control loss, expired orders."""
        gate, core = self._core.gate, self._core
        while True:
            gate.ready = gate.ready or self._control.read_to_end.is_set()
            silent = self._control.silent_s > self._loss.control_loss_after_s
            gate.loss = self._loss.on_control_loss if silent else "allow"
            if gate.enforcing and gate.loss == "deny_all":
                for relay in list(core.running.values()):
                    relay.stop("it does not hear orders any more, and the policy ends requests until it does")
            core.orders.expire(self._clock.now_us())
            await asyncio.sleep(TICK_S)

    def _publish_addresses(self, address: str, admin: str) -> None:
        tap = self._settings.tap
        content: dict[str, Any] = {
            "url": f"http://{address}",
            "admin": f"http://{admin}",
            "pid": os.getpid(),
            "tap": tap.id,
            "epoch": self._epoch,
        }
        write_run_file(self._settings.run, "tap", content)
        log.info("listening", **content, mode=tap.mode, audit=tap.audit)

    def _status(self) -> tuple[bool, dict[str, object]]:
        gate = self._core.gate
        stale = not self._control.read_to_end.is_set() or self._control.silent_s > self._loss.control_loss_after_s
        ready = gate.ready and not gate.stopping
        return ready, {"ready": ready, "stale": stale, "mode": gate.mode, "control_silent_s": self._control.silent_s}

    def _metrics(self) -> bytes:
        core, publisher = self._core, self._publisher
        outcomes = [({"outcome": outcome}, count) for outcome, count in sorted(core.outcomes.items())]
        return gauges.exposition(
            [
                ("penstock_tap_exchanges_total", "counter", "Exchanges that have ended, by outcome.", outcomes),
                ("penstock_tap_running", "gauge", "Exchanges that run now.", [({}, len(core.running))]),
                ("penstock_tap_clients", "gauge", "Client connections.", [({}, len(core.clients))]),
                ("penstock_tap_events_total", "counter", "Events acknowledged.", [({}, publisher.delivered)]),
                ("penstock_tap_events_dropped_total", "counter", "Events dropped.", [({}, publisher.dropped)]),
                ("penstock_tap_queue_bytes", "gauge", "Bytes that wait for Kafka.", [({}, publisher.bytes)]),
                ("penstock_tap_unacknowledged_events", "gauge", "Events that wait.", [({}, publisher.outstanding)]),
                *journal_families(publisher.keeper),
                ("penstock_tap_orders", "gauge", "Standing orders.", [({}, len(core.orders))]),
                ("penstock_tap_orders_rejected_total", "counter", "Wrong orders.", [({}, self._control.rejected)]),
                (
                    "penstock_tap_control_silent_seconds",
                    "gauge",
                    "Since Kafka last answered.",
                    [({}, self._control.silent_s)],
                ),
            ]
        )


def run(settings: Settings) -> None:
    """Runs the tap in this process until it is told to stop."""
    # aiokafka logs every attempt to reach a broker as plain text, and at DEBUG the values that it sends; `link` and
    # `control` say what matters.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    uvloop.run(_main(settings))


async def _main(settings: Settings) -> None:
    be_silent(asyncio.get_running_loop())
    await App(settings).run()


async def _listen(
    key: str, address: str, protocol: Callable[[], asyncio.Protocol], serving: bool = True
) -> tuple[asyncio.Server, str]:
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(protocol, host, int(port), backlog=BACKLOG, start_serving=serving)
    except OSError as error:
        raise ServiceUnavailable(
            f"{key}: cannot listen on {address} ({error.strerror or error}): set it to another address (port 0: any"
            " free one), or stop what listens there"
        ) from error
    return server, _real(server)


def _real(server: asyncio.Server) -> str:
    host, port = server.sockets[0].getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
