"""Edge: a small HTTP/1.1 origin (RFC 9112) that writes exactly the bytes it is told to, one `send` at a time.

The local endpoint and the replaying upstream stand on it. A handler gets a `Request` and an `Answer`; what it sends is
one transfer chunk and one write to the socket each, so a test chooses where bytes are cut.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import httptools

Headers = list[tuple[str, str]]
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Request:
    """One request, complete. Header names are lower-case; a repeated header's last value stands."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class HungUp(ConnectionError):
    """The client went away before the answer was whole."""


class Answer:
    """What goes back for one request: `start`, then `send` any number of times, then `finish` or `abort`."""

    def __init__(self, connection: "_Connection") -> None:
        self._connection = connection
        self._chunked = False
        self._closes = False

    @property
    def gone(self) -> asyncio.Event:
        """Set once the client has closed its side."""
        return self._connection.gone

    async def start(self, status: int, headers: Headers, *, length: int | None = None, close: bool = False) -> None:
        """Status line and headers. The body is `length` bytes; else chunked, or with `close` it ends with the
        connection (RFC 9112, section 6.3)."""
        self._chunked, self._closes = length is None and not close, close
        framing = f"content-length: {length}" if length is not None else "transfer-encoding: chunked"
        lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'Error')}", *(f"{name}: {value}" for name, value in headers)]
        lines.append("connection: close" if close else framing)
        await self.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def send(self, data: bytes) -> None:
        """One piece of the body. HungUp where nobody listens any more."""
        if data:
            await self.write(self.frame(data))

    async def finish(self) -> None:
        """The end of a whole answer."""
        if self._chunked:
            await self.write(b"0\r\n\r\n")
        if self._closes:
            self._connection.close()

    def frame(self, data: bytes) -> bytes:
        """`data` as it goes on the wire: one transfer chunk, or itself."""
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data

    async def write(self, data: bytes) -> None:
        """Raw bytes, for tests that cut the transfer coding itself. HungUp as for `send`."""
        await self._connection.write(data)

    def abort(self) -> None:
        """Resets the connection in the middle of the answer, as a crashed origin does."""
        self._connection.abort()


Handler = Callable[[Request, Answer], Awaitable[None]]


class _Connection(asyncio.Protocol):
    """One client connection. Requests are answered one after the other, in their order."""

    def __init__(self, origin: "_Origin") -> None:
        self._origin = origin
        self._requests: asyncio.Queue[Request | None] = asyncio.Queue()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._parser = httptools.HttpRequestParser(self)
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.task = asyncio.get_running_loop().create_task(self._answer_all())
        self._origin.opened(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()

    def eof_received(self) -> None:
        self._leave()

    def _leave(self) -> None:
        self.gone.set()
        self._flowing.set()
        self._requests.put_nowait(None)

    def pause_writing(self) -> None:
        self._flowing.clear()

    def resume_writing(self) -> None:
        self._flowing.set()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self._transport.close()

    def on_message_begin(self) -> None:
        self._target, self._headers, self._body = b"", dict[str, str](), bytearray()

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        self._body += part

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode("latin-1")
        self._requests.put_nowait(Request(method, self._target.decode("latin-1"), self._headers, bytes(self._body)))

    async def write(self, data: bytes) -> None:
        await self._flowing.wait()
        if self.gone.is_set():
            raise HungUp("the client closed the connection")
        self._transport.write(data)
        await asyncio.sleep(0)

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    async def _answer_all(self) -> None:
        try:
            while (request := await self._requests.get()) is not None:
                await self._origin.handler(request, Answer(self))
        except HungUp:
            return
        finally:
            self._transport.close()


class _Origin:
    """The open connections of one server, and what its handler failed with."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self._open: dict[asyncio.Task[None], _Connection] = {}
        self._failures: list[BaseException] = []

    def opened(self, connection: _Connection) -> None:
        self._open[connection.task] = connection
        connection.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._open[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.append(error)

    async def end(self) -> None:
        tasks = list(self._open)
        for connection in list(self._open.values()):
            connection.abort()
            connection.task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._failures:
            raise self._failures[0]


@asynccontextmanager
async def serve(handler: Handler, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serves `handler` at HOST:PORT until the block ends; gives `http://HOST:PORT` with the real port.

    An exception of the handler other than HungUp closes its connection, and is raised when the block ends.
    """
    host, _, port = listen.rpartition(":")
    origin = _Origin(handler)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(origin), host, int(port))
    try:
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await origin.end()
