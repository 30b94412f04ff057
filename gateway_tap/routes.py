"""Pure: which upstream a request goes to, and with which path. Only configured upstreams are ever called.

`/<name>/…` belongs to the upstream of that name, a path that begins as an API of the first one does to that, and
anything else to none: a misspelt name must not hand a credential to another provider. An absolute-form target
(RFC 9112, 3.2.2) gives its path alone: the authority that a client wrote is never dialled. No path leaves the base of
its upstream.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from penstock.schemas.events import Dialect
from penstock.schemas.paths import belongs_to
from penstock.schemas.tap_settings import Retries, Timeouts, Upstream

_UNFIT: Final = re.compile(rb"[^\x21-\x7e]")
_DOTS: Final = re.compile(rb"(?:/|%2f|\\)(?:\.|%2e){1,2}(?=/|%2f|\\|$)", re.IGNORECASE)
"""A `.` or `..` segment (RFC 3986, 3.3), however it is written."""
_PRIVATE: Final = re.compile(rb"[?@;#]")
REMEMBERED_MAX: Final = 1024
REMEMBERED_MAX_BYTES: Final = 128
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Route:
    """One upstream, ready to be called. `authority` is its Host header, `base` the path that its URL ends with,
    `timeouts` are those of the tap with its own in their place, `ca` holds the authorities that it is checked with."""

    name: str
    dialect: Dialect
    host: str
    port: int
    tls: bool
    authority: bytes
    base: bytes
    timeouts: Timeouts
    retries: Retries
    allow_private: bool
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """A route and the path under it, prefix stripped; `target` is what stands in the upstream's request line."""

    route: Route
    path: str = field(repr=False)
    target: bytes = field(repr=False)


class Routes:
    """All upstreams of the settings, in their order."""

    def __init__(self, upstreams: Sequence[Upstream], timeouts: Timeouts, base: Path = Path()) -> None:
        self._routes = [_route(upstream, timeouts, base) for upstream in upstreams]
        self._by_name = {route.name.encode(): route for route in self._routes}
        self._chosen: dict[bytes, Chosen] = {}

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    @property
    def names(self) -> list[str]:
        """The names that a path may start with."""
        return [route.name for route in self._routes]

    def choose(self, target: bytes) -> Chosen | None:
        """Where `target` (of a request line) goes; None where no upstream can take it.

        Short targets are remembered, but for those with a query, which may hold a credential.
        """
        chosen = self._chosen.get(target)
        if chosen is None:
            chosen = self._choose(target)
            if chosen is not None and len(target) <= REMEMBERED_MAX_BYTES and not _PRIVATE.search(target):
                if len(self._chosen) >= REMEMBERED_MAX:
                    self._chosen.clear()
                self._chosen[target] = chosen
        return chosen

    def _choose(self, target: bytes) -> Chosen | None:
        path = origin_form(target)
        if path is None or not self._routes:
            return None
        bare = path.partition(b"?")[0]
        if (b"/." in bare or b"%" in bare) and _DOTS.search(bare):
            return None
        segment = bare[1:].partition(b"/")[0]
        route = self._by_name.get(segment)
        if route is not None:
            path = path[1 + len(segment) :]
            path = path if path[:1] == b"/" else b"/" + path
        elif belongs_to(segment.decode("latin-1"), self._routes[0].dialect):
            route = self._routes[0]
        else:
            return None
        return Chosen(route, path.decode("latin-1"), route.base + path)


def origin_form(target: bytes) -> bytes | None:
    """The path and query of a request target; None where there is none (`*`, authority form, control characters)."""
    if not target.startswith(b"/"):
        scheme, separator, rest = target.partition(b"://")
        if not separator or scheme.lower() not in (b"http", b"https"):
            return None
        cut = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
        target = rest[cut:] if rest[cut : cut + 1] == b"/" else b"/" + rest[cut:]
    target = target.partition(b"#")[0]
    return None if _UNFIT.search(target) else target


def _route(upstream: Upstream, timeouts: Timeouts, base: Path) -> Route:
    parts = urlsplit(upstream.url)
    host = parts.hostname or ""
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    shown = f"[{host}]" if ":" in host else host
    authority = shown if port == DEFAULT_PORTS[parts.scheme] else f"{shown}:{port}"
    return Route(
        name=upstream.name,
        dialect=upstream.dialect,
        host=host,
        port=port,
        tls=parts.scheme == "https",
        authority=authority.encode(),
        base=parts.path.rstrip("/").encode(),
        timeouts=timeouts.model_copy(update=upstream.timeouts.model_dump(exclude_none=True)),
        retries=upstream.retries,
        allow_private=upstream.allow_private,
        ca=base / upstream.ca if upstream.ca else None,
    )
