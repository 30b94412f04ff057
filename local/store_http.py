"""Edge: the ClickHouse HTTP dialect on loopback (ClickHouse documentation, "HTTP Interface"), before one engine.

    request ─▶ store_door (Host, browser marks) ─▶ store_roles (who) ─▶ store_statement (what) ─▶ store_settings
            ─▶ here (may it?) ─▶ store_guard (reads name nothing outside) ─▶ store_engine ─▶ store_answer

Reads and writes have places of their own, so that slow readers never hold up the recorder.
"""

import asyncio
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from .store_answer import content_type, failure, send_reading, summary, whole
from .store_engine import Engine, Inspection, Job
from .store_errors import ACCESS_DENIED, TOO_MANY_QUERIES, StoreError, refuse
from .store_guard import check_read
from .store_request import BODY_MAX_BYTES, Asked, read_request
from .store_roles import Accounts
from .store_sessions import Sessions
from .store_statement import Insert, Text

READERS: Final = 4
WRITERS: Final = 2
WAITING_MAX: Final = 64
WAIT_S: Final = 30.0


class Gate:
    """So many statements at once, so many waiting; the next is refused with code 202 (HTTP 503)."""

    def __init__(self, at_once: int) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._waiting = 0

    async def __aenter__(self) -> None:
        if self._waiting >= WAITING_MAX:
            raise refuse(TOO_MANY_QUERIES, f"{WAITING_MAX} statements wait already: try again.")
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S):
                await self._slots.acquire()
        except TimeoutError as error:
            raise refuse(TOO_MANY_QUERIES, f"No place came free within {WAIT_S:.0f} s.") from error
        finally:
            self._waiting -= 1

    async def __aexit__(self, *_: object) -> None:
        self._slots.release()


class Store:
    """The application over one engine. `app` may be served by any aiohttp runner with auto_decompress off."""

    def __init__(self, engine: Engine, accounts: Accounts, open_reads: bool) -> None:
        self._engine, self._accounts, self._open_reads = engine, accounts, open_reads
        self._pool = ThreadPoolExecutor(READERS + WRITERS, thread_name_prefix="store")
        self._reading, self._writing = Gate(READERS), Gate(WRITERS)
        self._sessions = Sessions(engine)
        self.app = web.Application(client_max_size=BODY_MAX_BYTES)
        self.app.router.add_route("GET", "/ping", self._serve)
        self.app.router.add_route("GET", "/", self._serve)
        self.app.router.add_route("POST", "/", self._serve)

    def close(self) -> None:
        """Closes sessions and the engine. Call it when no request is running."""
        self._pool.shutdown()
        self._sessions.close()
        self._engine.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        headers = {
            "X-ClickHouse-Server-Display-Name": "penstock-embedded",
            "X-Penstock-Store": f"embedded; chdb {self._engine.version}",
            "X-ClickHouse-Query-Id": str(uuid.uuid4()),
            "X-ClickHouse-Timezone": self._engine.timezone,
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }
        try:
            asked = await read_request(request, self._accounts, self._open_reads)
            headers["X-ClickHouse-Query-Id"] = _printable(asked.query_id) or headers["X-ClickHouse-Query-Id"]
            if asked.statement is None or request.path == "/ping":
                return web.Response(text="Ok.\n", headers=headers)
            return await self._answer(request, asked, headers)
        except StoreError as error:
            return failure(error, headers, self._engine.version)

    async def _answer(self, request: web.Request, asked: Asked, headers: dict[str, str]) -> web.StreamResponse:
        if isinstance(asked.statement, Insert):
            return await self._insert(asked, asked.statement, headers)
        assert asked.statement is not None
        inspection = await self._in_thread(self._engine.inspect, asked.statement.sql)
        if inspection.read and not (asked.role == "admin" and asked.session_id):
            return await self._read(request, asked, asked.statement, inspection, headers)
        if asked.role != "admin" or not asked.writing:
            raise refuse(
                ACCESS_DENIED,
                f"The role {asked.role} may not run this statement{'' if asked.writing else ' by GET'}: readers read,"
                " the writer inserts data (INSERT INTO table FORMAT …), admin does the rest by POST.",
            )
        return await self._run(asked, asked.statement, inspection, headers)

    async def _read(
        self, request: web.Request, asked: Asked, text: Text, inspection: Inspection, headers: dict[str, str]
    ) -> web.StreamResponse:
        if asked.role != "admin":
            check_read(inspection.canonical, asked.parameters, self._engine.table_functions)
        job = _job(asked, inspection.format or asked.format)
        if asked.known and not asked.limited and self._engine.in_pieces(inspection, job.format):
            # The bound is for answers that are held whole; of these, one piece is.
            job = replace(job, settings={**job.settings, "max_result_bytes": "0"})
        begun_ns = time.monotonic_ns()
        async with self._reading:
            reading = await self._in_thread(self._engine.read, text.sql, inspection, job)
            try:
                named = _with_format(headers, job)
                return await send_reading(request, reading, named, asked.accepted, self._pool, begun_ns)
            finally:
                await self._in_thread(reading.close)

    async def _insert(self, asked: Asked, insert: Insert, headers: dict[str, str]) -> web.Response:
        if asked.role == "reader" or not asked.writing:
            raise refuse(ACCESS_DENIED, "Only the writer and admin insert, by POST.")
        begun_ns = time.monotonic_ns()
        async with self._writing:
            job = _job(asked, insert.format)
            work = (self._engine.insert, insert.target, insert.data, job)
            rows, size = await self._in_thread(self._in_session, asked, *work)
        done = summary(begun_ns, written_rows=rows, written_bytes=size, result_rows=rows, result_bytes=size)
        return web.Response(headers={**headers, "X-ClickHouse-Summary": done})

    async def _run(
        self, asked: Asked, text: Text, inspection: Inspection, headers: dict[str, str]
    ) -> web.StreamResponse:
        job = _job(asked, inspection.format or asked.format)
        begun_ns = time.monotonic_ns()
        async with self._writing:
            body = await self._in_thread(self._in_session, asked, self._engine.run, text.sql, job)
        return whole(body, {**_with_format(headers, job), "X-ClickHouse-Summary": summary(begun_ns)}, asked.accepted)

    def _in_session(self, asked: Asked, work: Callable[..., Any], *arguments: Any) -> Any:
        """Runs `work` on the handle of the caller's session, which admin alone may have; else on one of its own."""
        if not asked.session_id or asked.role != "admin":
            return work(*arguments)
        session = self._sessions.take(asked.session_id, asked.database)
        try:
            return work(*arguments, session)
        finally:
            self._sessions.give(asked.session_id, session)

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)


def _job(asked: Asked, output: str) -> Job:
    return Job(asked.database, asked.settings, asked.parameters, output)


def _with_format(headers: dict[str, str], job: Job) -> dict[str, str]:
    return {**headers, "X-ClickHouse-Format": _printable(job.format), "Content-Type": content_type(job.format)}


def _printable(text: str) -> str:
    """What may stand in a header."""
    return "".join(letter for letter in text[:200] if letter.isascii() and letter.isprintable())
