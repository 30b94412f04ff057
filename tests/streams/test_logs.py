"""No log line quotes what a library choked on."""

import logging

from penstock.schemas.errors import EventError
from penstock.streams.logs import describe_exception, name_exceptions


def caught(error: Exception) -> Exception:
    try:
        raise error
    except Exception as same:  # noqa: BLE001 – made by the test itself
        return same


def test_a_foreign_exception_is_its_type_and_its_places() -> None:
    found = describe_exception(None, "error", {"event": "x", "exc_info": caught(KeyError("the body"))})
    assert found["exception"] == "KeyError"
    assert "the body" not in str(found)
    assert found["places"][0].endswith("caught")


def test_our_own_exceptions_keep_their_words() -> None:
    found = describe_exception(None, "error", {"event": "x", "exc_info": caught(EventError("no time"))})
    assert found["because"] == "no time"


def test_nothing_is_added_without_an_exception() -> None:
    assert describe_exception(None, "error", {"event": "x", "exc_info": None}) == {"event": "x"}
    assert describe_exception(None, "error", {"event": "x"}) == {"event": "x"}
    assert describe_exception(None, "error", {"event": "x", "exc_info": True}) == {"event": "x"}


def test_exceptions_among_arguments_are_named_only() -> None:
    record = logging.LogRecord("faust", logging.ERROR, "", 1, "failed: %r %s", (KeyError("the body"), 3), None)
    assert name_exceptions(record)
    assert record.getMessage() == "failed: 'KeyError' 3"
