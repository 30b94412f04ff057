"""Edge: a whole system as children of this process: what `penstock up`, `demo` and the fault tests run.

kafka ┐      ┌ topics ┐      ┌ tap · meter · record · seal
store ┴──────┴ tables ┴──────┘                                   stopped: tap, then workers and seal, then services
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from penstock.schemas.addresses import read_run_file
from penstock.schemas.policy import load_policy
from penstock.schemas.settings import Settings, load_settings

from .children import Child, Spec
from .jars import are_here
from .preflight import check_ports, check_upstreams
from .processes import only_one, stop_leftover
from .secrets import make_secrets

SERVICES: Final = ("kafka", "clickhouse")
TAP: Final = "tap"
WORKERS: Final = ("meter", "record", "seal")
COMMANDS: Final = {
    "kafka": ("local", "kafka"),
    "clickhouse": ("local", "clickhouse"),
    "tap": ("tap",),
    "meter": ("worker", "meter"),
    "record": ("worker", "record"),
    "seal": ("seal",),
}
LEFTOVER_S: Final = 10.0


class Deployment:
    """All processes of one state folder. `async with` starts and stops it; `tell` hears what happens, a line each."""

    def __init__(self, config: Path, tell: Callable[[str], None] = lambda _: None) -> None:
        """Reads `config` (SettingsError); starts nothing."""
        self.config = config.resolve()
        self.settings: Settings = load_settings(self.config)
        self._tell = tell
        self._held = ExitStack()
        self._children = {name: Child(self._spec(name), self.settings.state, tell) for name in self._names()}

    async def __aenter__(self) -> "Deployment":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the children that run now."""
        return {name: child.pid for name, child in self._children.items() if child.pid is not None}

    async def start(self) -> None:
        """Returns once everything is ready. Whatever goes wrong, nothing is left running.

        UsageError before anything started (no upstream, a wrong policy); ServiceUnavailable names the part.
        """
        check_upstreams(self.settings)
        load_policy(self.settings.policy_path)
        self._held.enter_context(only_one(self.settings.state, "penstock up"))
        try:
            await asyncio.to_thread(self._clear)
            check_ports(self.settings)
            make_secrets(self.settings)
            if self.settings.kafka.embedded and not await asyncio.to_thread(are_here, self.settings.state):
                self._tell("fetching Kafka (45 MB from Maven Central, once)")
            await self._start(SERVICES)
            self._tell("topics and tables")
            await self._lay_out()
            await self._start((TAP, *WORKERS))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stops everything in order and returns when nothing is left."""
        for names in ((TAP,), WORKERS, SERVICES):
            await asyncio.gather(*(child.stop() for child in self._some(names)))
        self._held.close()

    def kill(self) -> None:
        """SIGKILL to everything, now; `stop` then has nothing to wait for."""
        for child in self._children.values():
            child.kill()

    async def restart(self, name: str) -> None:
        """Stops one child cleanly, starts it again and returns once it is ready."""
        await self._children[name].stop()
        await self._children[name].start()

    async def crash(self, name: str) -> None:
        """Kills one child (SIGKILL) and returns once it was started again and is ready."""
        await self._children[name].crash()

    async def ready(self, name: str) -> None:
        """Returns once a child is ready, such as after a kill."""
        await self._children[name].ready()

    def _names(self) -> list[str]:
        embedded = {
            "kafka": self.settings.kafka.embedded is not None,
            "clickhouse": self.settings.clickhouse.embedded is not None,
        }
        return [name for name in COMMANDS if embedded.get(name, True)]

    def _spec(self, name: str) -> Spec:
        # -P: a folder that `up` is started in must not stand before the installed packages.
        command = (sys.executable, "-P", "-m", "penstock.cli.main", *COMMANDS[name], "--config", str(self.config))
        if name == TAP:
            return Spec(name, command, stop_s=self.settings.tap.timeouts.drain_s + 10)
        return Spec(name, command, ready_s=300.0 if name == "kafka" else 60.0)  # jars may have to be fetched

    def _some(self, names: Iterable[str]) -> list[Child]:
        return [self._children[name] for name in names if name in self._children]

    async def _start(self, names: Iterable[str]) -> None:
        await _together(self._start_one(child) for child in self._some(names))

    async def _start_one(self, child: Child) -> None:
        await child.start()
        child.environment = self._address(child.spec.name)
        self._tell(f"{child.spec.name} is ready")

    def _address(self, name: str) -> dict[str, str]:
        """Keeps a child at the address that it got (port 0), so that its clients find it after a restart."""
        if name == "kafka":
            return {"PENSTOCK_KAFKA__EMBEDDED__LISTEN": read_run_file(self.settings.run, name)["listen"]}
        if name == "clickhouse":
            url = read_run_file(self.settings.run, name)["url"]
            return {"PENSTOCK_CLICKHOUSE__EMBEDDED__LISTEN": urlsplit(url).netloc}
        if name == TAP:
            found = read_run_file(self.settings.run, name)
            return {
                "PENSTOCK_TAP__LISTEN": urlsplit(found["url"]).netloc,
                "PENSTOCK_TAP__ADMIN": urlsplit(found["admin"]).netloc,
            }
        return {}

    async def _lay_out(self) -> None:
        from penstock.trail.migrate import migrate
        from penstock.trail.topics import ensure_topics

        await _together((ensure_topics(self.settings), asyncio.to_thread(migrate, self.settings)))

    def _clear(self) -> None:
        """Stops what an `up` that was killed left behind; its children had a SIGTERM already."""
        for name in (TAP, *WORKERS, *SERVICES):
            marks = ["penstock.cli.main", *COMMANDS[name]]
            pid = stop_leftover(self.settings.run, name, marks, LEFTOVER_S)
            if pid is not None:
                self._tell(f"stopped {name} ({pid}), left over from an earlier run")


async def _together(work: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Runs all at once; the first failure ends the others and is raised as it is."""
    tasks = [asyncio.create_task(part) for part in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
