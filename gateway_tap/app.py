"""The tap, wired: reads in the order of the data.

client ─▶ downstream ─▶ relay ─▶ upstream        (pool, routes, identity, admission beside it)
                          │ tape, capture
                          ▼
                       publish ─▶ Kafka ─▶ control ─▶ orders, keys ─▶ relay.kill
"""

import asyncio
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
from penstock.schemas.secrets import read_secret, read_token
from penstock.schemas.settings import Settings

from . import gauges
from .admin import Admin, AdminPort
from .build import build
from .clock import Clock
from .control import Control
from .drain import Stop, drain
from .faults import be_silent
from .figures import families
from .journal_keeper import opened
from .loss import heed_loss
from .publish import KafkaPublisher
from .reload import Reload
from .serve import listen, open_port
from .snapshot import SAVE_EVERY_S, load_snapshot, save_snapshot
from .tls import server_context

FLUSH_S: Final = 10.0
FLUSH_AT_ONCE_S: Final = 1.0
TICK_S: Final = 0.5

log = structlog.get_logger("penstock.tap")


class App:
    """One tap process. `load` reads its settings: at start, and whenever they may have changed. `name` is that of its
    run file; `shared`: other processes listen on its port too."""

    def __init__(self, load: Callable[[], Settings], name: str = "tap", *, shared: bool = False) -> None:
        self._name, self._shared = name, shared
        self._settings = settings = load()
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
        self._secret = secrets[0]
        self._snapshot = settings.state / "taps" / f"{tap.id}.snapshot"
        held = load_snapshot(self._snapshot, secrets) if tap.mode == "observe" else None
        if held is not None:
            self._control.start_with(held)
            log.info("snapshot_taken", orders=len(held.orders), keys=len(held.keys), at_us=held.at_us)
        self._tls = server_context(tap.tls, settings.base) if tap.tls else None
        self._reload = Reload(self._core, settings, load, self._tls)
        token = read_token("tap.admin_token", tap.admin_token, settings.state)
        self._admin = AdminPort(self._status, self._metrics, token, tap.open_metrics)
        self._stop = Stop()

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT; then lets running exchanges end, and flushes. SIGHUP reloads."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload.now)
        tap = self._settings.tap
        server, address = await listen(self._core, tap.listen, serving=False, tls=self._tls, shared=self._shared)
        admin, admin_address = await open_port("tap.admin", tap.admin, lambda: Admin(self._admin))
        self._publisher.start()
        self._core.deadlines.start()
        reading = asyncio.create_task(self._control.run())
        ticking, saving = asyncio.create_task(self._tick()), asyncio.create_task(self._save())
        await server.start_serving()
        self._publish_addresses(address, admin_address)
        gc.collect()
        gc.freeze()
        await self._stop.asked.wait()
        log.info("draining", running=len(self._core.running), within_s=self._core.tap.timeouts.drain_s)
        await drain(self._core, server, self._stop, self._core.tap.timeouts.drain_s)
        for task in (reading, ticking, saving):
            task.cancel()
        await asyncio.gather(reading, ticking, saving, return_exceptions=True)
        lost = await self._publisher.close(FLUSH_AT_ONCE_S if self._stop.at_once.is_set() else FLUSH_S)
        admin.close()
        log.info("stopped", unpublished_events=lost)

    async def _tick(self) -> None:
        """Twice a second: changed files, readiness, control loss, expired orders."""
        gate, core = self._core.gate, self._core
        while True:
            self._reload.look()
            gate.ready = gate.ready or self._control.read_to_end.is_set()
            heed_loss(core, self._core.policy.failures, self._control.silent_s)
            core.orders.expire(self._clock.now_us())
            await asyncio.sleep(TICK_S)

    async def _save(self) -> None:
        """Writes the snapshot beside the traffic, where something changed."""
        saved = 0
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            changes = self._control.changes
            if changes != saved and self._control.read_to_end.is_set():
                try:
                    await asyncio.to_thread(save_snapshot, self._snapshot, self._control.held(), self._secret)
                except OSError as error:
                    log.warning("snapshot_not_saved", reason=error.strerror)
                else:
                    saved = changes

    def _publish_addresses(self, address: str, admin: str) -> None:
        tap = self._settings.tap
        content: dict[str, Any] = {
            "url": f"{'https' if tap.tls else 'http'}://{address}",
            "admin": f"http://{admin}",
            "pid": os.getpid(),
            "tap": tap.id,
            "epoch": self._epoch,
        }
        write_run_file(self._settings.run, self._name, content)
        log.info("listening", **content, mode=tap.mode, audit=tap.audit)

    def _status(self) -> tuple[bool, dict[str, object]]:
        gate, control, failures = self._core.gate, self._control, self._core.policy.failures
        stale = not control.read_to_end.is_set() or control.silent_s > failures.control_loss_after_s
        ready = gate.ready and not gate.stopping
        return ready, {
            "ready": ready,
            "stale": stale,
            "mode": gate.mode,
            "config": "stale" if self._reload.stale else "current",
            "control_silent_s": control.silent_s,
        }

    def _metrics(self) -> bytes:
        return gauges.exposition(families(self._core, self._publisher, self._control, self._reload))


def run(load: Callable[[], Settings], name: str = "tap", *, shared: bool = False) -> None:
    """Runs the tap in this process until it is told to stop; the arguments are those of `App`."""
    # aiokafka logs every attempt to reach a broker as plain text, and at DEBUG the values that it sends; `link` and
    # `control` say what matters.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    async def main() -> None:
        be_silent(asyncio.get_running_loop())
        await App(load, name, shared=shared).run()

    uvloop.run(main())
