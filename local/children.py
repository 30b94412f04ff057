"""Edge: one child of the supervisor: started, watched, started again with backoff, stopped.

stopped ──start──▶ starting ──NAME.json appears──▶ ready ──dies──▶ waiting ──backoff──▶ starting
                       └──dies──▶ waiting                └──stop──▶ stopped

One that ends with code 2 (wrong use) would do so again: it stays stopped.
"""

import asyncio
import json
import os
import signal
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from penstock.schemas.errors import ServiceUnavailable

from .logfile import last_lines, open_log
from .processes import tethered, write_pid

BACKOFF_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
STABLE_S: Final = 10.0
"""A child that was ready for so long starts its backoff anew."""
WRONG_USE: Final = 2
FIRST_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run as `name`, how long it may take to be ready, and how long to stop on SIGTERM."""

    name: str
    command: tuple[str, ...]
    ready_s: float = 60.0
    stop_s: float = 20.0


class Child:
    """A process that is kept running until `stop`. One event loop uses it."""

    def __init__(self, spec: Spec, state: Path, tell: Callable[[str], None]) -> None:
        self.spec = spec
        self.environment: dict[str, str] = {}
        """Added to the environment of every later process."""
        self._run, self._logs, self._tell = state / "run", state / "logs", tell
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._stop_asked = asyncio.Event()
        self._deaths = 0
        self._last_code: int | None = None
        self._log_start_bytes = 0

    @property
    def pid(self) -> int | None:
        """Of the running process; None while there is none."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Starts it and returns once it is ready.

        ServiceUnavailable with the end of its log where it is not ready in time, or dies again and again before that;
        it is stopped then.
        """
        self._stop_asked.clear()
        self._deaths = 0
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.spec.name}")
        try:
            await self.ready()
        except BaseException:
            await self.stop(hard=True)
            raise

    async def ready(self) -> None:
        """Returns once it is ready (again). ServiceUnavailable as for `start`."""
        begun = time.monotonic()
        while not self._ready.is_set():
            if self._deaths >= FIRST_TRIES or self._last_code == WRONG_USE:
                raise self._trouble(f"ended with code {self._last_code}")
            if time.monotonic() - begun > self.spec.ready_s:
                raise self._trouble(f"was not ready within {self.spec.ready_s:.0f} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), 0.1)

    async def stop(self, hard: bool = False) -> None:
        """SIGTERM, then SIGKILL after `stop_s` (at once when `hard`); returns when the process is gone."""
        self._stop_asked.set()
        process = self._process
        if process is not None and process.returncode is None:
            _signal(process, signal.SIGKILL if hard else signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), self.spec.stop_s)
            except TimeoutError:
                self._tell(f"{self.spec.name} did not stop within {self.spec.stop_s:.0f} s: killed")
                _signal(process, signal.SIGKILL)
                await process.wait()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        self._ready.clear()
        if process is not None and process.returncode != 0:
            self._forget()  # one that ends in order takes its run file away itself, or leaves its last word in it
        (self._run / f"{self.spec.name}.pid").unlink(missing_ok=True)

    async def crash(self) -> None:
        """SIGKILL, as a fault would; returns once the supervisor has it ready again. Nothing where it does not run."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._ready.clear()
        _signal(process, signal.SIGKILL)
        await process.wait()
        await self.ready()

    def kill(self) -> None:
        """SIGKILL, without waiting: for a second Control-C."""
        if self._process is not None and self._process.returncode is None:
            _signal(self._process, signal.SIGKILL)

    async def _keep(self) -> None:
        while not self._stop_asked.is_set():
            self._forget()
            self._process = await self._spawn()
            watch = asyncio.create_task(self._watch(self._process.pid))
            code = await self._process.wait()
            watch.cancel()
            (since,) = await asyncio.gather(watch, return_exceptions=True)
            self._forget()
            self._last_code = code
            if self._stop_asked.is_set():
                return
            if code == WRONG_USE:
                self._tell(
                    f"{self.spec.name} ended with code {code}, which says that it is used wrongly: it is not "
                    f"started again. {self._log_end(1)}"
                )
                return
            stable = isinstance(since, float) and time.monotonic() - since > STABLE_S
            self._deaths = 1 if stable else self._deaths + 1
            pause_s = BACKOFF_S[min(self._deaths, len(BACKOFF_S)) - 1]
            self._tell(f"{self.spec.name} ended with code {code}: started again in {pause_s:g} s")
            await asyncio.sleep(pause_s)

    async def _spawn(self) -> Process:
        # SIGTERM when this process dies, so that nothing outlives it; a session of its own, so that Control-C in a
        # terminal reaches this process alone and children are stopped in order.
        command = tethered(self.spec.command, signal.SIGTERM)
        with open_log(self._logs, self.spec.name) as output:
            self._log_start_bytes = output.seek(0, os.SEEK_END)
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, **self.environment},
            )
        write_pid(self._run, self.spec.name, process.pid)
        return process

    async def _watch(self, pid: int) -> float:
        """Waits for the run file of this very process; returns when it became ready."""
        path = self._run / f"{self.spec.name}.json"
        while True:
            with suppress(OSError, ValueError):
                if json.loads(path.read_text()).get("pid") == pid:
                    self._ready.set()
                    return time.monotonic()
            await asyncio.sleep(0.03)

    def _forget(self) -> None:
        """What the last process published is true no longer."""
        self._ready.clear()
        (self._run / f"{self.spec.name}.json").unlink(missing_ok=True)

    def _log_end(self, count: int = 15) -> str:
        """What the last process said at its end."""
        return last_lines(self._logs, self.spec.name, count, self._log_start_bytes)

    def _trouble(self, what: str) -> ServiceUnavailable:
        end = self._log_end()
        return ServiceUnavailable(
            f"{self.spec.name} {what}. The end of {self._logs / self.spec.name}.log:\n{end or '(empty)'}"
        )


def _signal(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)
