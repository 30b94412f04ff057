"""Edge: several tap processes behind one port (SO_REUSEPORT), kept running: what `penstock tap --workers N` runs.

They share nothing but Kafka: each is a tap of its own, `<tap.id>-<n>`. The parent serves no client; it holds the port's
number, starts again what dies, passes signals on, and answers for all of them on the admin port.
"""

import asyncio
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Final

import orjson
import structlog

from penstock.gateway_tap.admin import Admin, AdminPort
from penstock.gateway_tap.merged import merged
from penstock.gateway_tap.serve import open_port
from penstock.schemas.addresses import read_run_file, write_run_file
from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.secrets import read_token
from penstock.schemas.settings import Settings

from .children import Child, Spec
from .processes import only_one

LOOK_S: Final = 0.5
PROBE_S: Final = 2.0

log = structlog.get_logger("penstock.tap.workers")


class Taps:
    """`run` once. What the admin port says of the processes is at most a second old."""

    def __init__(self, settings: Settings, workers: int, arguments: tuple[str, ...]) -> None:
        self._settings = settings
        self._token = read_token("tap.admin_token", settings.tap.admin_token, settings.state)
        self._names = {f"{settings.tap.id}-{number}": f"tap-{number}" for number in range(1, workers + 1)}
        command = (sys.executable, "-P", "-m", "penstock.cli.main", "tap", *arguments, "--worker")
        stop_s = settings.tap.timeouts.drain_s + 15
        self._children = {
            tap: Child(Spec(name, (*command, str(number)), stop_s=stop_s), settings.state, self._tell)
            for number, (tap, name) in enumerate(self._names.items(), 1)
        }
        self._answers: dict[str, tuple[dict[str, object], str]] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; then all drain. A second one cuts at once, SIGHUP makes all of them reload."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._pass_on, signal.SIGHUP)
        with only_one(self._settings.state, f"tap {self._settings.tap.id}"), self._port() as held:
            address = _shown(held)
            port = AdminPort(self._status, self._metrics, self._token, self._settings.tap.open_metrics)
            admin, admin_address = await open_port("tap.admin", self._settings.tap.admin, lambda: Admin(port))
            try:
                await self._serve(address, admin_address)
            finally:
                await asyncio.gather(*(child.stop() for child in self._children.values()))
                admin.close()
        log.info("stopped")

    async def _serve(self, address: str, admin_address: str) -> None:
        for child in self._children.values():
            child.environment = {"PENSTOCK_TAP__LISTEN": address, "PENSTOCK_TAP__ADMIN": "127.0.0.1:0"}
        starting = asyncio.ensure_future(self._start())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        starting.result()
        scheme = "https" if self._settings.tap.tls else "http"
        content = {"url": f"{scheme}://{address}", "admin": f"http://{admin_address}", "pid": os.getpid()}
        write_run_file(self._settings.run, "tap", {**content, "tap": self._settings.tap.id, "workers": self._names})
        log.info("listening", **content, workers=len(self._names))
        while not self._stopping.is_set():
            await self._look()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOOK_S)

    async def _start(self) -> None:
        await asyncio.gather(*(child.start() for child in self._children.values()))
        await self._look()

    def _stop(self) -> None:
        if self._stopping.is_set():
            self._pass_on(signal.SIGTERM)
        self._stopping.set()

    def _pass_on(self, number: signal.Signals) -> None:
        for child in self._children.values():
            if child.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(child.pid, number)

    async def _look(self) -> None:
        answers = await asyncio.gather(*(asyncio.to_thread(self._ask, name) for name in self._names.values()))
        self._answers = dict(zip(self._names, answers, strict=True))

    def _ask(self, name: str) -> tuple[dict[str, object], str]:
        """What one process says of itself; that it is not ready, where it says nothing."""
        try:
            admin = str(read_run_file(self._settings.run, name)["admin"])
            status = orjson.loads(self._get(f"{admin}/readyz"))
            return status, self._get(f"{admin}/metrics").decode()
        except (ServiceUnavailable, OSError, ValueError, KeyError):
            return {"ready": False, "says": "it does not answer"}, ""

    def _get(self, url: str) -> bytes:
        request = urllib.request.Request(url, headers={"authorization": f"Bearer {self._token.decode()}"})
        try:
            with urllib.request.urlopen(request, timeout=PROBE_S) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.read()

    def _status(self) -> tuple[bool, dict[str, object]]:
        """Ready when all of them are."""
        statuses = {tap: status for tap, (status, _) in self._answers.items()}
        ready = bool(statuses) and not self._stopping.is_set() and all(one.get("ready") for one in statuses.values())
        stale = any(one.get("stale") for one in statuses.values())
        return ready, {"ready": ready, "stale": stale, "workers": statuses}

    def _metrics(self) -> bytes:
        return merged({tap: text for tap, (_, text) in self._answers.items()})

    def _tell(self, line: str) -> None:
        log.warning("worker", says=line)

    def _port(self) -> socket.socket:
        """Takes the port for this user's processes, without listening: so port 0 becomes one number for all."""
        host, _, port = self._settings.tap.listen.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        held = socket.socket(family, socket.SOCK_STREAM)
        try:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((host.strip("[]"), int(port)))
        except OSError as error:
            held.close()
            raise ServiceUnavailable(
                f"tap.listen: cannot listen on {self._settings.tap.listen} ({error.strerror or error}): set it to"
                " another address (port 0: any free one), or stop what listens there"
            ) from error
        return held


def _shown(held: socket.socket) -> str:
    host, port = held.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def run(settings: Settings, workers: int, arguments: tuple[str, ...]) -> None:
    """Runs the processes until this one is told to stop. `arguments` of `penstock tap` go to each."""
    asyncio.run(Taps(settings, workers, arguments).run())
