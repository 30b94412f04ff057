"""Edge: what goes back: a small answer whole, a large one piece by piece, an error with its code."""

import asyncio
import json
import time
from concurrent.futures import Executor
from typing import Final

import structlog
from aiohttp import web

from .store_coding import LEAST_BYTES, Encoder, chosen
from .store_engine import Reading
from .store_errors import StoreError
from .store_settings import MIB

WHOLE_BYTES: Final = MIB
"""An answer up to this goes out in one piece, with its length and its summary."""
SEND_S: Final = 60.0
"""A reader that takes nothing for so long is cut off: it holds one of few places."""

_TYPES: Final = {
    "JSON": "application/json; charset=UTF-8",
    "Tab": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "Pretty": "text/plain; charset=UTF-8",
    "Vertical": "text/plain; charset=UTF-8",
    "XML": "application/xml; charset=UTF-8",
}

log = structlog.get_logger("penstock.local.store")


def content_type(name: str) -> str:
    """The media type that a server sends for an output format."""
    return next((kind for start, kind in _TYPES.items() if name.startswith(start)), "application/octet-stream")


def summary(begun_ns: int, **counts: int) -> str:
    """The X-ClickHouse-Summary header; numbers are strings there."""
    names = ("read_rows", "read_bytes", "written_rows", "written_bytes", "result_rows")
    values = {name: str(counts.get(name, 0)) for name in names}
    return json.dumps({**values, "elapsed_ns": str(time.monotonic_ns() - begun_ns)})


def whole(body: bytes, headers: dict[str, str], accepted: str) -> web.Response:
    """A complete answer, in a coding where one is wanted and worth it."""
    coding = chosen(accepted) if len(body) >= LEAST_BYTES else None
    if coding is not None:
        encoder = Encoder(coding)
        body, headers = encoder.feed(body) + encoder.finish(), {**headers, "Content-Encoding": coding}
    return web.Response(body=body, headers=headers)


def failure(error: StoreError, headers: dict[str, str], version: str) -> web.Response:
    """An error as a server words it."""
    text = error.text if "(version " in error.text else f"{error.text} (version {version})"
    named = {"X-ClickHouse-Exception-Code": str(error.code), "Content-Type": "text/plain; charset=UTF-8"}
    # No WWW-Authenticate: a browser would ask for a password, keep it, and add it to what other pages cause.
    return web.Response(status=error.status, text=f"{text}\n", headers={**headers, **named})


async def send_reading(
    request: web.Request, reading: Reading, headers: dict[str, str], accepted: str, pool: Executor, begun_ns: int
) -> web.StreamResponse:
    """Sends the pieces of `reading` as they come; the engine waits while the client does.

    A failure after the first byte ends the connection without the last chunk, which every client takes for an error.
    """
    loop = asyncio.get_running_loop()
    first, ended = bytearray(), False
    while len(first) < WHOLE_BYTES and not ended:
        piece = await loop.run_in_executor(pool, reading.next)
        ended = piece is None
        first += piece or b""
    if ended:
        counts = {"read_rows": reading.read_rows, "read_bytes": reading.read_bytes, "result_rows": reading.rows}
        return whole(bytes(first), {**headers, "X-ClickHouse-Summary": summary(begun_ns, **counts)}, accepted)
    return await _stream(request, reading, bytes(first), headers, accepted, pool)


async def _stream(
    request: web.Request, reading: Reading, first: bytes, headers: dict[str, str], accepted: str, pool: Executor
) -> web.StreamResponse:
    coding = chosen(accepted)
    encoder = Encoder(coding) if coding else None
    response = web.StreamResponse(headers={**headers, **({"Content-Encoding": coding} if coding else {})})
    loop = asyncio.get_running_loop()
    try:
        await response.prepare(request)
        piece: bytes | None = first
        while piece is not None:
            async with asyncio.timeout(SEND_S):
                await response.write(encoder.feed(piece) if encoder else piece)
            piece = await loop.run_in_executor(pool, reading.next)
        if encoder:
            await response.write(encoder.finish())
        await response.write_eof()
    except (StoreError, TimeoutError, ConnectionError) as error:
        log.warning(
            "answer_cut", why=str(error)[:300] or type(error).__name__, query_id=headers["X-ClickHouse-Query-Id"]
        )
        if request.transport is not None:
            request.transport.abort()
    return response
