"""Edge: chdb, the ClickHouse engine in this process. One handle a statement, so that nothing of one caller stays.

Opening a handle costs 0.15 ms and a SET 0.07 ms; a handle that was made read-only cannot be made writable again.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from penstock.schemas.errors import ServiceUnavailable

from .store_errors import ACCESS_DENIED, SYNTAX_ERROR, TOO_LARGE, from_engine, refuse
from .store_guard import output_format
from .store_settings import assignment, quoted

_REMEMBERED: Final = 512
_REMEMBERED_CHARS: Final = 8192
_EXACT_PIECES_WORDS = """
    native tabseparated tsv tabseparatedraw tsvraw jsoneachrow jsonlines ndjson csv rowbinary
"""
_EXACT_PIECES: Final = frozenset(_EXACT_PIECES_WORDS.split())
"""Formats without head or foot: the engine's pieces, one after the other, are the whole answer byte for byte."""

CONFIG: Final = """<clickhouse>
  <timezone>UTC</timezone>
  <mark_cache_size>134217728</mark_cache_size>
  <background_pool_size>4</background_pool_size>
  <merge_tree>
    <fsync_after_insert>{fsync}</fsync_after_insert>
    <fsync_part_directory>{fsync}</fsync_part_directory>
  </merge_tree>
</clickhouse>
"""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the engine's parser says of one statement. `canonical` is its own rendering, of reads alone."""

    read: bool
    canonical: str
    format: str | None


@dataclass(frozen=True, slots=True)
class Job:
    """One statement's surroundings: database, engine settings, server-side parameters, output format."""

    database: str
    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    format: str


class Engine:
    """The engine over one data folder. Every method may be called from any thread, and blocks."""

    def __init__(self, folder: Path, fsync: bool) -> None:
        """Opens or creates `folder`. ServiceUnavailable where the engine cannot."""
        import chdb  # 0.1 s and 280 MB: only in the store's own process

        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "engine.xml"
        config.write_text(CONFIG.format(fsync=int(fsync)))
        self._connect = chdb.connect
        self._target = str(folder / "data")
        try:
            # Held until the end: the engine lives as long as it has a handle.
            self._first = chdb.connect(f"{self._target}?config-file={config}")
        except (RuntimeError, chdb.ChdbError) as error:
            raise ServiceUnavailable(f"embedded ClickHouse: cannot open {folder}: {from_engine(error)}") from error
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, Inspection] = OrderedDict()
        self.version, self.timezone = self._ask("SELECT version(), timezone()").split("\t")
        self.table_functions = frozenset(self._ask("SELECT name FROM system.table_functions").split("\n"))

    def inspect(self, sql: str) -> Inspection:
        """Parses `sql`. StoreError 62 where it is not exactly one statement, or none that can be parsed."""
        with self._lock:
            if sql in self._seen:
                self._seen.move_to_end(sql)
                return self._seen[sql]
            kind = self._first._conn.classify_query(sql, "default")
            if kind["statement_count"] > 1:
                raise refuse(SYNTAX_ERROR, "Exactly one statement per request.")
            read = kind["query_class"].name == "READ_ONLY"
            canonical = self._ask(f"SELECT formatQuerySingleLine({quoted(sql)})") if read or not _counted(kind) else ""
            found = Inspection(read, canonical, output_format(canonical) if read else None)
            if len(sql) <= _REMEMBERED_CHARS:
                self._seen[sql] = found
                if len(self._seen) > _REMEMBERED:
                    self._seen.popitem(last=False)
            return found

    def in_pieces(self, inspection: Inspection, name: str) -> bool:
        """Whether an answer in the format `name` comes in pieces. The engine gives pieces of SELECTs alone."""
        selects = inspection.canonical.lstrip("(").split(" ", 1)[0] in ("SELECT", "WITH")
        return selects and name.lower() in _EXACT_PIECES

    def read(self, sql: str, inspection: Inspection, job: Job) -> "Reading":
        """Begins a read on a handle that can neither write nor change a setting."""
        if not inspection.read:
            raise refuse(ACCESS_DENIED, "This is no read.")
        handle = self._handle(job, readonly=True)
        try:
            if self.in_pieces(inspection, job.format):
                return Reading(handle, handle.send_query(sql, job.format, params=dict(job.parameters)))
            result = handle.query(sql, job.format, params=dict(job.parameters))
            most = int(job.settings.get("max_result_bytes", 0))
            if result.size() > most > 0:  # the engine counts columns: a constant one is small whatever it prints
                raise refuse(TOO_LARGE, f"The answer is longer than {most} bytes: ask for less, or FORMAT TSV.")
            return Reading(handle, [result])
        except Exception as error:  # whatever chdb raises: the handle is closed, and the caller gets a StoreError
            handle.close()
            raise from_engine(error) from error

    def insert(self, target: str, data: bytes, job: Job, session: Any = None) -> tuple[int, int]:
        """Inserts `data` in `job.format`; returns rows and bytes written. Durable on return where fsync is on."""
        handle = session or self._handle(job, readonly=False)
        try:
            stream = handle.send_insert(target, job.format)
            try:
                stream.append(data)
                done = stream.finish()
            except BaseException:
                with suppress(RuntimeError):
                    stream.cancel()
                raise
            return int(done.rows_written), int(done.bytes_written)
        except RuntimeError as error:
            raise from_engine(error) from error
        finally:
            if session is None:
                handle.close()

    def run(self, sql: str, job: Job, session: Any = None) -> bytes:
        """Runs any statement, on a session's handle where one is given, and returns its output."""
        handle = session or self._handle(job, readonly=False)
        try:
            if session is not None:
                handle.query(assignment(job.settings))
            result = handle.query(sql, job.format, params=dict(job.parameters))
            return bytes(result.bytes() or b"") if result is not None else b""
        except Exception as error:  # whatever chdb raises becomes a StoreError
            raise from_engine(error) from error
        finally:
            if session is None:
                handle.close()

    def session(self, database: str) -> Any:
        """A handle for `run` that keeps temporary tables and settings between statements."""
        return self._handle(Job(database, {}, {}, "TSV"), readonly=False)

    def close(self) -> None:
        """Shuts the engine down; no other method may be running."""
        self._first.close()

    def _handle(self, job: Job, readonly: bool) -> Any:
        handle = self._connect(self._target)
        try:
            if job.database:
                handle.query(f"USE {_identifier(job.database)}")
            if job.settings:
                handle.query(assignment(job.settings))
            if readonly:
                handle.query("SET readonly = 1")
        except Exception as error:  # whatever chdb raises: no handle is left open
            handle.close()
            raise from_engine(error) from error
        return handle

    def _ask(self, sql: str) -> str:
        try:
            return str(self._first.query(sql, "TSVRaw").bytes().decode()).removesuffix("\n")
        except Exception as error:  # whatever chdb raises becomes a StoreError
            raise from_engine(error) from error


class Reading:
    """The pieces of one answer. Must be closed; then its handle is free."""

    def __init__(self, handle: Any, pieces: Any) -> None:
        self._handle = handle
        self._pieces = iter(pieces)
        self._source = pieces
        self.rows = 0
        self.read_rows = 0
        self.read_bytes = 0

    def next(self) -> bytes | None:
        """The next piece, or None at the end. StoreError where the engine fails on the way."""
        try:
            piece = next(self._pieces, None)
        except Exception as error:  # whatever chdb raises becomes a StoreError
            raise from_engine(error) from error
        if piece is None:
            return None
        self.rows += int(piece.rows_read())
        self.read_rows += int(piece.storage_rows_read())
        self.read_bytes += int(piece.storage_bytes_read())
        return bytes(piece.bytes() or b"")

    def close(self) -> None:
        """Cancels what still runs."""
        if hasattr(self._source, "cancel"):
            with suppress(Exception):  # the handle is closed next, which ends the query as well
                self._source.cancel()
        self._handle.close()


def _counted(kind: Mapping[str, Any]) -> bool:
    return bool(kind["statement_count"] == 1)


def _identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
