"""Edge: what runs, how far behind it is, and what the trail says of itself. Probes are short and change nothing."""

import asyncio
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from penstock.schemas.addresses import kafka_client, read_run_file
from penstock.schemas.errors import PenstockError, ServiceUnavailable
from penstock.schemas.secrets import read_token
from penstock.schemas.settings import Settings
from penstock.schemas.topics import RECORDED, USAGE

from .checkpoint import open_checkpoint
from .checkpoint_file import last_note
from .ledger import Ledger
from .seal_state import checkpoints_path
from .verify import log_ends, public_keys

GROUPS: Final = ("penstock-meter", "penstock-record")
_PROBE_S: Final = 3.0
_TOPICS: Final = (*RECORDED, USAGE)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the deployment. `facts` is what it says of itself."""

    name: str
    up: bool
    says: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Status:
    """All parts, and figures that are None where they could not be read."""

    parts: list[Part]
    lag: dict[str, dict[str, int]] = field(default_factory=dict)
    checkpoint: dict[str, Any] | None = None
    unprotected: int | None = None
    gaps: int | None = None
    dead_letters: int | None = None

    @property
    def complete(self) -> bool:
        """Whether every part is up."""
        return all(part.up for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """The status as JSON values."""
        return {"complete": self.complete, **asdict(self)}


async def read_status(settings: Settings) -> Status:
    """Probes every part. Raises only where the settings cannot be used; a part that is away is told as such."""
    ends, kafka = await _kafka(settings)
    status = Status([kafka])
    ledger, clickhouse = await asyncio.to_thread(_clickhouse, settings)
    status.parts += [clickhouse, await asyncio.to_thread(_tap, settings)]
    status.parts += [_worker(settings, "meter"), _worker(settings, "record"), _seal(settings)]
    if ends:
        status.lag = await _lag(settings, ends)
    status.checkpoint = _checkpoint(settings)
    if ledger is not None:
        try:
            await asyncio.to_thread(_figures, ledger, status)
        finally:
            ledger.close()
    return status


def alive(pid: int) -> bool:
    """Whether a process with this id runs here."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def _kafka(settings: Settings) -> tuple[dict[tuple[str, int], int], Part]:
    try:
        ends = await log_ends(settings, _TOPICS)
    except ServiceUnavailable as error:
        return {}, Part("kafka", up=False, says=str(error))
    if not ends:
        return {}, Part("kafka", up=True, says="it has no topics yet: run `penstock topics`")
    return ends, Part("kafka", up=True, says=str(kafka_client(settings)["bootstrap_servers"]))


def _clickhouse(settings: Settings) -> tuple[Ledger | None, Part]:
    try:
        ledger = Ledger(settings, "reader")
        version = ledger.query("SELECT version()")[0][0].decode()
    except ServiceUnavailable as error:
        return None, Part("clickhouse", up=False, says=str(error))
    return ledger, Part("clickhouse", up=True, says=version)


def _tap(settings: Settings) -> Part:
    try:
        found = read_run_file(settings.run, "tap")
        address = str(found["admin"])
        url = address if "://" in address else f"http://{address}"
        with urllib.request.urlopen(_ask(settings, f"{url}/readyz"), timeout=_PROBE_S) as answer:
            facts = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return Part("tap", up=False, says=f"not ready: {error.read(500).decode('utf-8', 'replace')}")
    except (ServiceUnavailable, OSError, ValueError, KeyError) as error:
        return Part("tap", up=False, says=str(error) if isinstance(error, PenstockError) else "it does not answer")
    return Part("tap", up=True, says=str(found.get("url", "")), facts=facts if isinstance(facts, dict) else {})


def _ask(settings: Settings, url: str) -> urllib.request.Request:
    """With the token of the admin port, where this process may read it: the answer says more then."""
    try:
        token = read_token("tap.admin_token", settings.tap.admin_token, settings.state).decode()
    except PenstockError:
        return urllib.request.Request(url)
    return urllib.request.Request(url, headers={"authorization": f"Bearer {token}"})


def _worker(settings: Settings, name: str) -> Part:
    found = [_run(settings, path) for path in sorted(settings.run.glob(f"{name}*.json"))]
    running = [run for run in found if run and alive(int(run.get("pid", 0)))]
    if not running:
        return Part(name, up=False, says=f"no process of it runs here: `penstock worker {name}`")
    return Part(name, up=True, says=f"{len(running)} running", facts={"pids": [run["pid"] for run in running]})


def _seal(settings: Settings) -> Part:
    run = _run(settings, settings.run / "seal.json")
    if not run:
        return Part("seal", up=False, says="it does not run here: `penstock seal`")
    if run.get("state") == "stopped":
        return Part("seal", up=False, says=f"it stopped: {run.get('error')}", facts=run)
    if not alive(int(run.get("pid", 0))):
        return Part("seal", up=False, says="it ended without a word", facts=run)
    return Part("seal", up=True, says=str(run.get("error") or run.get("state")), facts=run)


def _run(settings: Settings, path: Path) -> dict[str, Any]:
    try:
        return read_run_file(settings.run, path.stem)
    except ServiceUnavailable:
        return {}


async def _lag(settings: Settings, ends: dict[tuple[str, int], int]) -> dict[str, dict[str, int]]:
    """Records that each group has yet to acknowledge, per topic that it has begun to read; without the groups that
    Kafka does not answer for."""
    admin = AIOKafkaAdminClient(**kafka_client(settings))
    lag: dict[str, dict[str, int]] = {}
    try:
        await admin.start()
        for group in GROUPS:
            lag[group] = behind(await admin.list_consumer_group_offsets(group), ends)
    except (KafkaError, OSError):
        return lag
    finally:
        await admin.close()
    return lag


def behind(committed: Mapping[Any, Any], ends: Mapping[tuple[str, int], int]) -> dict[str, int]:
    """What lies between a group's committed offsets and the ends of the logs, by topic."""
    found: dict[str, int] = {}
    for place, mark in committed.items():
        end = ends.get((place.topic, place.partition))
        if end is not None and mark.offset >= 0:
            found[place.topic] = found.get(place.topic, 0) + max(0, end - mark.offset)
    return found


def _checkpoint(settings: Settings) -> dict[str, Any] | None:
    note = last_note(checkpoints_path(settings))
    if note is None:
        return None
    try:
        found = open_checkpoint(note, settings.trail.origin, public_keys(settings, None))
    except PenstockError as error:
        return {"error": str(error)}
    age_s = None if found.time_s is None else round(time.time() - found.time_s)
    return {"size": found.size, "root": found.root.hex(), "signed_at_s": found.time_s, "age_s": age_s}


def _figures(ledger: Ledger, status: Status) -> None:
    try:
        rows, dead = ledger.query("SELECT count(), countIf(kind = 'dead_letter') FROM penstock.events_log")[0]
        gaps = ledger.query("SELECT count() FROM penstock.audit FINAL WHERE act = 'gap'")[0][0]
    except ServiceUnavailable:
        return
    size = (status.checkpoint or {}).get("size", 0)
    status.unprotected, status.dead_letters, status.gaps = max(0, rows - size), dead, gaps
