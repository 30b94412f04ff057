"""Edge: the admin port: `/healthz` (the process lives), `/readyz` (it may get traffic), `/metrics` (Prometheus text).

It is another port than the traffic's, tells no content, and takes no input but a path.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

import httptools
import orjson

TEXT: Final = b"text/plain; version=0.0.4; charset=utf-8"
JSON: Final = b"application/json"
REQUEST_MAX_BYTES: Final = 8192

Status = Callable[[], tuple[bool, dict[str, object]]]
Metrics = Callable[[], bytes]


class Admin(asyncio.Protocol):
    """One connection to the admin port; it answers one request and closes."""

    def __init__(self, status: Status, metrics: Metrics) -> None:
        self._status = status
        self._metrics = metrics
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._bytes = REQUEST_MAX_BYTES + 1
        if self._bytes > REQUEST_MAX_BYTES and self._transport is not None:
            self._transport.abort()

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_headers_complete(self) -> None:
        match self._target.partition(b"?")[0]:
            case b"/healthz":
                self._answer(200, b"ok\n", TEXT)
            case b"/readyz":
                ready, content = self._status()
                self._answer(200 if ready else 503, orjson.dumps(content), JSON)
            case b"/metrics":
                self._answer(200, self._metrics(), TEXT)
            case _:
                self._answer(404, b"try /healthz, /readyz or /metrics\n", TEXT)

    def _answer(self, status: int, body: bytes, kind: bytes) -> None:
        reason = {200: b"OK", 404: b"Not Found", 503: b"Service Unavailable"}[status]
        head = b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        if self._transport is not None:
            self._transport.write(head % (status, reason, kind, len(body)) + body)
            self._transport.close()
