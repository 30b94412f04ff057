"""Edge: the ClickHouse client of this folder, and what its errors mean."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import clickhouse_connect
import urllib3
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from penstock.schemas.addresses import Role, clickhouse_client
from penstock.schemas.errors import ServiceUnavailable, StoreDamaged
from penstock.schemas.settings import Settings

_CONNECT_S: Final = 5
_ANSWER_S: Final = 120
UNKNOWN_TABLE: Final = 60
UNKNOWN_DATABASE: Final = 81
_DAMAGE: Final = frozenset({3, 32, 33, 40, 107, 117, 131, 226, 228, 246, 271, 432, 740})
"""ClickHouse's codes where bytes of a part are missing or are not what was written (src/Common/ErrorCodes.cpp)."""
_PART: Final = re.compile(r"part (?:'|`)?(\S*?/)?([\w.-]+)/?(?:'|`|\)|,|:| |$)")
_TABLE: Final = re.compile(r"table (penstock\.\w+)")


@contextmanager
def store_errors() -> Iterator[None]:
    """Errors of the client raised within become ServiceUnavailable: whether a write took place is then unknown."""
    try:
        yield
    except ClickHouseError as error:
        code = getattr(error, "code", None)
        if code in (UNKNOWN_TABLE, UNKNOWN_DATABASE):
            raise ServiceUnavailable("the store has no penstock tables yet: run `penstock migrate`") from error
        if code in _DAMAGE:
            raise _damaged(error) from error
        where = "does not answer" if isinstance(error, OperationalError) else "refused a statement"
        raise ServiceUnavailable(f"the store {where}: {first_line(error)}") from error
    except (OSError, urllib3.exceptions.HTTPError) as error:
        raise ServiceUnavailable(f"the store does not answer: {type(error).__name__}; is it running?") from error


def _damaged(error: ClickHouseError) -> StoreDamaged:
    told = str(error)
    table, part = _TABLE.search(told), _PART.search(told)
    where = f"{table[1] if table else 'the store'} part {part[2] if part else 'unknown'}"
    return StoreDamaged(f"the store cannot read its own files: {first_line(error)}", where)


def connect(settings: Settings, role: Role) -> Any:
    """A client of the store in a role (`clickhouse_connect.driver.Client`). ServiceUnavailable where none answers."""
    with store_errors():
        return clickhouse_connect.get_client(
            **clickhouse_client(settings, role), connect_timeout=_CONNECT_S, send_receive_timeout=_ANSWER_S
        )


def first_line(error: BaseException) -> str:
    """The first line of an error's text, cut to 300 characters: enough to act on, and no rows."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
