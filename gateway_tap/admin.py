"""Edge: the admin port. It is another port than the traffic's, tells no content, changes nothing, and takes no input
but a path and a token.

| path | token | says |
|---|---|---|
| `/healthz` | | the process lives |
| `/readyz` | | it may get traffic, or not; with the token also why |
| `/metrics` | needed | Prometheus text |
"""

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, cast

import httptools
import orjson

TEXT: Final = b"text/plain; version=0.0.4; charset=utf-8"
JSON: Final = b"application/json"
REQUEST_MAX_BYTES: Final = 8192
DEADLINE_S: Final = 5.0
CONNECTIONS_MAX: Final = 64

Status = Callable[[], tuple[bool, dict[str, object]]]
Metrics = Callable[[], bytes]
Answer = tuple[int, bytes, bytes]


@dataclass(slots=True)
class AdminPort:
    """What all connections to the port share. `token`: what a request proves itself with; `open_metrics`: `/metrics` is
    for everybody who reaches the port."""

    status: Status
    metrics: Metrics
    token: bytes = field(repr=False)
    open_metrics: bool = False
    open: "set[Admin]" = field(default_factory=set)

    def allows(self, given: bytes) -> bool:
        """Whether an Authorization header proves the token (RFC 6750, 2.1); compared in constant time."""
        scheme, _, token = given.strip().partition(b" ")
        return hmac.compare_digest(token.strip(), self.token) and scheme.lower() == b"bearer"

    def health(self, _: bool) -> Answer:
        return 200, b"ok\n", TEXT

    def readiness(self, proved: bool) -> Answer:
        ready, content = self.status()
        return 200 if ready else 503, orjson.dumps(content if proved else {"ready": ready}), JSON

    def figures(self, _: bool) -> Answer:
        return 200, self.metrics(), TEXT


ROUTES: Final[dict[bytes, tuple[Callable[[AdminPort, bool], Answer], bool]]] = {
    b"/healthz": (AdminPort.health, False),
    b"/readyz": (AdminPort.readiness, False),
    b"/metrics": (AdminPort.figures, True),
}
"""Path: who answers it, and whether it needs the token."""


class Admin(asyncio.Protocol):
    """One connection to the admin port; it answers one request and closes, or closes after 5 s."""

    def __init__(self, port: AdminPort) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._target = self._authorization = b""
        self._bytes = 0
        self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = cast(asyncio.Transport, transport)
        if len(self._port.open) >= CONNECTIONS_MAX:
            made.abort()
            return
        self._port.open.add(self)
        self._deadline = asyncio.get_running_loop().call_later(DEADLINE_S, made.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._port.open.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._answered or self._transport is None:
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._bytes = REQUEST_MAX_BYTES + 1
        if self._bytes > REQUEST_MAX_BYTES and not self._answered:
            self._transport.abort()

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"authorization":
            self._authorization = value

    def on_headers_complete(self) -> None:
        if not self._answered:
            self._answered = True
            self._answer(*self._found(self._parser.get_method(), self._target.partition(b"?")[0]))

    def _found(self, method: bytes, path: bytes) -> Answer:
        route = ROUTES.get(path)
        if route is None:
            return 404, b"try /healthz, /readyz or /metrics\n", TEXT
        if method != b"GET":
            return 405, b"this port only answers GET\n", TEXT
        answer, guarded = route
        proved = self._port.allows(self._authorization)
        if guarded and not proved and not self._port.open_metrics:
            return 401, b"send the token of tap.admin_token: authorization: Bearer ...\n", TEXT
        return answer(self._port, proved)

    def _answer(self, status: int, body: bytes, kind: bytes) -> None:
        lines = [
            b"HTTP/1.1 %d %b" % (status, HTTPStatus(status).phrase.encode()),
            b"content-type: " + kind,
            b"content-length: %d" % len(body),
            b"cache-control: no-store",
            b"x-content-type-options: nosniff",
            b"connection: close",
        ]
        lines += {401: [b"www-authenticate: Bearer"], 405: [b"allow: GET"]}.get(status, [])
        assert self._transport is not None
        self._transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        self._transport.close()
