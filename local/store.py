"""Edge: the embedded ClickHouse: one process that owns chdb and answers HTTP on loopback, until SIGTERM.

<state>/clickhouse/data       tables; acknowledged rows survive kill -9, with fsync a power failure as well
<state>/run/clickhouse.json   {"url", "admin", "writer", "reader", "pid"}, 0600: written once it answers
"""

import asyncio
import os
import signal
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from penstock.schemas.addresses import write_run_file

from .ports import join_address, require_free, require_loopback
from .processes import only_one, write_pid
from .store_engine import Engine
from .store_http import Store
from .store_roles import Accounts

DRAIN_S: Final = 10.0
HEADERS_S: Final = 75.0

log = structlog.get_logger("penstock.local.store")


async def run_store(listen: str, state: Path, open_reads: bool = True, fsync: bool = True) -> None:
    """Serves until SIGTERM or SIGINT, then lets running statements end (at most `DRAIN_S`) and returns.

    Passwords are made at the first start and stay, so that clients outlive a restart of the store.
    ServiceUnavailable says why it cannot start.
    """
    host, port = require_loopback("embedded ClickHouse", listen)
    folder, run = state / "clickhouse", state / "run"
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    with only_one(folder, "embedded ClickHouse"):
        write_pid(run, "clickhouse", os.getpid())
        (run / "clickhouse.json").unlink(missing_ok=True)  # of one that was killed
        if port:
            require_free("embedded ClickHouse", host, port, "clickhouse.embedded.listen (or --listen)")
        accounts = _accounts(folder / "accounts.json")
        # In the main thread: importing chdb changes the working directory for a moment.
        store = Store(Engine(folder, fsync), accounts, open_reads)
        runner = web.AppRunner(
            store.app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=DRAIN_S,
            keepalive_timeout=HEADERS_S,
            auto_decompress=False,
        )
        try:
            await runner.setup()
            site = web.TCPSite(runner, host, port)
            await site.start()
            url = f"http://{join_address(host, int(runner.addresses[0][1]))}"
            write_run_file(run, "clickhouse", {"url": url, **accounts.published(), "pid": os.getpid()})
            log.info("ready", url=url)
            await stopping.wait()
        finally:
            (run / "clickhouse.json").unlink(missing_ok=True)
            await runner.cleanup()
            store.close()


def _accounts(path: Path) -> Accounts:
    """The passwords in `path`, made where there are none, or where a write was cut short."""
    try:
        return Accounts.parse(path.read_text())
    except (OSError, ValueError):
        accounts = Accounts.fresh()
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(accounts.text())
    fresh.replace(path)
    return accounts
