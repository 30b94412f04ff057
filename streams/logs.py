"""Edge: logs of a worker as JSON on stderr, at every level without a body.

An exception is logged as its type and the places it passed through; its text is kept only where it is ours or the
operating system's, since any other library may quote the bytes that it choked on.
"""

import logging
import sys
import traceback
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from penstock.schemas.errors import PenstockError

_PLACES = 12


def configure_logs(worker: str) -> None:
    """Sends structlog's and the standard library's records to stderr, one JSON object a line, with `worker` in each."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        describe_exception,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(name_exceptions)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.EventRenamer("message"),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("penstock").setLevel(logging.INFO)
    structlog.contextvars.bind_contextvars(worker=worker)


def name_exceptions(record: logging.LogRecord) -> bool:
    """A filter of the standard library's: exceptions among a message's arguments become their type's name."""
    if isinstance(record.args, tuple):
        record.args = tuple(type(item).__name__ if isinstance(item, BaseException) else item for item in record.args)
    return True


def describe_exception(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A structlog processor: `exc_info` becomes `exception` (type, and text if it is safe) and `places`."""
    given = event.pop("exc_info", None)
    if given is None or given is False:
        return event
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else sys.exc_info()[1]
    if error is None:
        return event
    event["exception"] = type(error).__name__
    if isinstance(error, PenstockError | KafkaError | OSError):
        event["because"] = str(error)
    frames = traceback.extract_tb(error.__traceback__)[-_PLACES:]
    event["places"] = [f"{frame.filename.rsplit('/', 2)[-1]}:{frame.lineno} {frame.name}" for frame in frames]
    return event
