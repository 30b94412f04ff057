"""Edge: what the tap's process says when its own code fails: kinds and places, never a value.

Python quotes values in the texts of its exceptions (`KeyError`, `UnicodeDecodeError`, …), and the event loop quotes the
arguments of a callback that failed: bytes of a client, with credentials in them. Neither is printed, and no core file
is written: it would hold the pepper and every open exchange.
"""

import asyncio
import resource
import sys
from types import TracebackType
from typing import Any

import structlog

log = structlog.get_logger("penstock.tap")


def be_silent(loop: asyncio.AbstractEventLoop) -> None:
    """Takes over what `loop` and the interpreter would print of an error, and forbids core files."""
    loop.set_exception_handler(_in_loop)
    sys.excepthook = _uncaught
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def _in_loop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    log.error("fault", error=type(error).__name__, exc_info=error)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.error("fault", error=kind.__name__, exc_info=error)
