"""Logs of every long-running command: one JSON object a line on stderr, the time in UTC."""

import sys

import structlog

from penstock.streams.logs import describe_exception


def json_logs() -> None:
    """Sets up structlog for this process. No library's own logger is touched, and no body is ever logged: of an
    exception its type and places, not its text."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            describe_exception,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
