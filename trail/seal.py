"""Edge: the sealing process: a loop around one `Sealer` at a time, its signals, its lock and its run file."""

import asyncio
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from penstock.schemas.addresses import read_run_file, write_run_file
from penstock.schemas.errors import PenstockError, ServiceUnavailable, UsageError
from penstock.schemas.settings import Settings

from .checkpoint import Checkpoint
from .checkpoint_topic import last_published
from .seal_state import SealerRuns, only_sealer
from .sealer import Sealer

POLL_S: Final = 0.5
BACKOFF_MAX_S: Final = 10.0
ANSWER_WITHIN_S: Final = 30.0
_logger = structlog.get_logger()


@dataclass(slots=True)
class Wish:
    """What the outside asked for: to stop, or to sign at once. Waking is not waiting for the next poll."""

    stop: bool = False
    sign: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def to_stop(self) -> None:
        self.stop = True
        self.wake.set()

    def to_sign(self) -> None:
        self.sign = True
        self.wake.set()

    async def pause(self, seconds: float) -> None:
        """Returns after `seconds`, or when something was wished for."""
        try:
            async with asyncio.timeout(seconds):
                await self.wake.wait()
        except TimeoutError:
            pass
        self.wake.clear()


async def seal(settings: Settings) -> None:
    """Seals until SIGTERM or SIGINT, then seals what is there, signs once more and returns. SIGUSR1: sign at once.

    While Kafka or the store is away it waits. TrailError: the store contradicts what was signed; nothing more is
    signed, and the run file says why. UsageError: another sealer runs.
    """
    wish = Wish()
    loop = asyncio.get_running_loop()
    for number, do in ((signal.SIGTERM, wish.to_stop), (signal.SIGINT, wish.to_stop), (signal.SIGUSR1, wish.to_sign)):
        loop.add_signal_handler(number, do)
    with only_sealer(settings):
        pid_file = settings.run / "seal.pid"
        settings.run.mkdir(parents=True, exist_ok=True)
        pid_file.write_text(str(os.getpid()))
        try:
            await _until_stopped(settings, wish)
        except PenstockError as error:
            _report(settings, "stopped", error=str(error))
            raise
        finally:
            pid_file.unlink(missing_ok=True)
        (settings.run / "seal.json").unlink(missing_ok=True)


async def seal_once(settings: Settings) -> None:
    """Seals and signs what is in the store now, then returns. Where a sealer runs already, it is asked to."""
    try:
        with only_sealer(settings):
            try:
                await _term(Sealer(settings), settings, Wish(stop=True))
            finally:
                (settings.run / "seal.json").unlink(missing_ok=True)
    except SealerRuns:
        await _ask(settings)


async def _until_stopped(settings: Settings, wish: Wish) -> None:
    backoff_s = 0.5
    while True:
        sealer = Sealer(settings)
        began = time.monotonic()
        try:
            return await _term(sealer, settings, wish)
        except ServiceUnavailable as error:
            reason = str(error)
        except UsageError as error:
            if await _replaced(sealer, settings):
                raise
            reason = f"{error} (or a transaction of this one took too long: nobody else has published)"
        if wish.stop:
            _logger.warning("stopped without a last checkpoint", because=reason)
            return None
        _logger.warning("waiting", because=reason)
        if (settings.run / "seal.json").exists():
            _report(settings, "waiting", error=reason)
        backoff_s = 0.5 if time.monotonic() - began > BACKOFF_MAX_S else min(backoff_s * 2, BACKOFF_MAX_S)
        await wish.pause(backoff_s)


async def _term(sealer: Sealer, settings: Settings, wish: Wish) -> None:
    """One term of office, until it is wished to stop."""
    try:
        await sealer.open()
        signed_at = -settings.trail.checkpoint_every_s
        while True:
            stop, sign, wish.sign = wish.stop, wish.sign, False
            more = await sealer.seal()
            while more and (stop or sign):
                more = await sealer.seal()
            if stop or sign or time.monotonic() - signed_at >= settings.trail.checkpoint_every_s:
                checkpoint = await sealer.sign()
                signed_at = time.monotonic()
                _report(settings, "sealing", checkpoint=checkpoint, key=str(sealer.verifiers[0]))
            if stop:
                return
            if not more and not wish.stop:
                await wish.pause(POLL_S)
    finally:
        await sealer.close()


async def _replaced(sealer: Sealer, settings: Settings) -> bool:
    """Whether another sealer has published since: Kafka also fences one whose own transaction took too long."""
    try:
        return await last_published(settings) != sealer.last_note
    except ServiceUnavailable:
        return False


async def _ask(settings: Settings) -> None:
    """Asks the running sealer to sign, and returns when it has."""
    deadline, asked_us, asked = time.monotonic() + ANSWER_WITHIN_S, time.time_ns() // 1000, False
    while time.monotonic() < deadline:
        try:
            found = read_run_file(settings.run, "seal")
        except ServiceUnavailable:
            found = {}
        if found.get("signed_at_us", 0) >= asked_us and asked:
            return
        if found.get("state") in ("stopped", "waiting"):
            raise ServiceUnavailable(f"the sealer that runs cannot sign: {found.get('error')}")
        if not asked and found:
            os.kill(int(found["pid"]), signal.SIGUSR1)
            asked = True
        await asyncio.sleep(0.1)
    raise ServiceUnavailable("a sealer runs, but it did not sign: see `penstock status`")


def _report(
    settings: Settings, state: str, *, checkpoint: Checkpoint | None = None, key: str = "", error: str = ""
) -> Path:
    content: dict[str, object] = {"pid": os.getpid(), "origin": settings.trail.origin, "state": state, "error": error}
    if checkpoint is not None:
        content |= {"key": key, "size": checkpoint.size, "root": checkpoint.root.hex()}
        content["signed_at_us"] = time.time_ns() // 1000
    return write_run_file(settings.run, "seal", content)
