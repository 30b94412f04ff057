"""Edge: the ClickHouse client of this folder, and what its errors mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import clickhouse_connect
import urllib3
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from penstock.schemas.addresses import Role, clickhouse_client
from penstock.schemas.errors import ServiceUnavailable
from penstock.schemas.settings import Settings

_CONNECT_S: Final = 5
_ANSWER_S: Final = 120
UNKNOWN_TABLE: Final = 60
UNKNOWN_DATABASE: Final = 81


@contextmanager
def store_errors() -> Iterator[None]:
    """Errors of the client raised within become ServiceUnavailable: whether a write took place is then unknown."""
    try:
        yield
    except ClickHouseError as error:
        code = getattr(error, "code", None)
        if code in (UNKNOWN_TABLE, UNKNOWN_DATABASE):
            raise ServiceUnavailable("the store has no penstock tables yet: run `penstock migrate`") from error
        where = "does not answer" if isinstance(error, OperationalError) else "refused a statement"
        raise ServiceUnavailable(f"the store {where}: {first_line(error)}") from error
    except (OSError, urllib3.exceptions.HTTPError) as error:
        raise ServiceUnavailable(f"the store does not answer: {type(error).__name__}; is it running?") from error


def connect(settings: Settings, role: Role) -> Any:
    """A client of the store in a role (`clickhouse_connect.driver.Client`). ServiceUnavailable where none answers."""
    with store_errors():
        return clickhouse_connect.get_client(
            **clickhouse_client(settings, role), connect_timeout=_CONNECT_S, send_receive_timeout=_ANSWER_S
        )


def first_line(error: BaseException) -> str:
    """The first line of an error's text, cut to 300 characters: enough to act on, and no rows."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
