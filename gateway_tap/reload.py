"""Edge: takes changed settings and a changed policy into a running tap. No exchange that runs is touched.

files or SIGHUP ─▶ load all ─▶ (a mistake: keep the old, say so) ─▶ keys, headers, limits ─▶ upstreams ─▶ audit
"""

import hashlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from penstock.schemas.audit import AuditEvent
from penstock.schemas.errors import PenstockError
from penstock.schemas.policy import Policy, load_policy
from penstock.schemas.settings import Settings

from .core import Core
from .identity import Trusted
from .pool import Pool
from .routes import Routes
from .tls import load_certificate
from .watch import Watch

TAKEN: Final = frozenset(
    {
        "trusted_callers",
        "credential_headers",
        "published_headers",
        "timeouts",
        "parse_max_bytes",
        "body_max_bytes",
        "header_max_bytes",
        "header_max_count",
        "target_max_bytes",
        "write_buffer_bytes",
    }
)
"""The keys of `tap` that a reload takes; what else changed waits for a restart."""
ELSEWHERE: Final = frozenset({"tap", "upstreams", "policy", "base"})

log = structlog.get_logger("penstock.tap.reload")


class Reload:
    """The settings that are in force. `load` reads them anew; `stale`: the files say something that
    could not be taken."""

    def __init__(
        self,
        core: Core,
        settings: Settings,
        load: Callable[[], Settings],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.settings = settings
        self.stale = ""
        self.done = self.failed = 0
        self._core = core
        self._load = load
        self._tls = tls
        self._digest = _digest(settings.policy_path)
        self._watch = Watch(_files(settings))

    def look(self) -> None:
        """Reloads where a file has changed."""
        if self._watch.changed():
            self.now()

    def now(self) -> bool:
        """Reloads; False: a file is wrong, and everything stays as it was."""
        self._watch.changed()
        try:
            settings = self._load()
            policy, digest = load_policy(settings.policy_path), _digest(settings.policy_path)
            routes = Routes(settings.upstreams, settings.tap.timeouts, settings.base)
            pools = self._pools(routes)
            if self._tls is not None and settings.tap.tls is not None:
                load_certificate(self._tls, settings.tap.tls, settings.base)
        except PenstockError as error:
            self.failed += 1
            self.stale = str(error)
            log.error(
                "reload_failed", reason=self.stale, remedy="mend the file; until then the old content is in force"
            )
            return False
        self._watch.follow(_files(settings))
        self._take(settings, policy, routes, pools)
        if digest != self._digest:
            self._audit(policy, digest)
        self._digest, self.stale = digest, ""
        self.done += 1
        log.info("reloaded", policy_version=policy.version, upstreams=list(pools))
        return True

    def _take(self, settings: Settings, policy: Policy, routes: Routes, pools: dict[str, Pool]) -> None:
        core = self._core
        waiting = sorted(_waiting(self.settings, settings))
        if waiting:
            log.warning("restart_needed", keys=waiting, remedy="these take effect when the tap is started again")
        core.tap = core.tap.model_copy(update={name: getattr(settings.tap, name) for name in TAKEN})
        core.deadlines.heed(core.tap.timeouts)
        core.keys.replace(policy.keys)
        core.trusted = Trusted(core.tap.trusted_callers)
        core.policy = policy
        core.derive()
        core.routes = routes
        gone = [pool for name, pool in core.pools.items() if pools.get(name) is not pool]
        core.pools = pools
        for pool in gone:
            pool.retire()

    def _pools(self, routes: Routes) -> dict[str, Pool]:
        """A pool for each upstream: the one that it has, if nothing about it changed."""
        core, pools = self._core, dict[str, Pool]()
        for route in routes:
            kept = core.pools.get(route.name)
            if kept is None or kept.route != route:
                kept = Pool(route, core.deadlines, core.clock, core.turn, core.tap.dns_ttl_s)
            pools[route.name] = kept
        return pools

    def _audit(self, policy: Policy, digest: str) -> None:
        tap = f"tap:{self._core.tap.id}"
        self._core.publisher.audit(
            AuditEvent(
                act="policy_changed",
                subject=tap,
                actor=tap,
                reason=f"policy {policy.version} is in force",
                at_us=self._core.clock.now_us(),
                details={"version": policy.version, "digest": digest, "previous_digest": self._digest},
            )
        )


def _waiting(old: Settings, new: Settings) -> set[str]:
    """Keys that differ from what the process was started with, and that a reload cannot take."""
    tap = {f"tap.{name}" for name in type(old.tap).model_fields if getattr(old.tap, name) != getattr(new.tap, name)}
    rest = {name for name in type(old).model_fields if getattr(old, name) != getattr(new, name)}
    taken = {f"tap.{name}" for name in TAKEN}
    if old.tap.tls is not None and new.tap.tls is not None:
        taken.add("tap.tls")
    return (tap - taken) | (rest - ELSEWHERE)


def _files(settings: Settings) -> list[Path]:
    tls = settings.tap.tls
    certificate = [settings.base / tls.certificate, settings.base / tls.key] if tls is not None else []
    return [path for path in (settings.file, settings.policy_path, *certificate) if path is not None]


def _digest(path: Path | None) -> str:
    """SHA-256 of the policy file, hex; empty where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""
    except OSError:
        return ""
