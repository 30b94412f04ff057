"""Edge: one HTTP request, read: who asks, which statement, with which parameters and settings."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from penstock.schemas.addresses import Role

from .store_coding import decoded, too_long
from .store_door import check_door
from .store_errors import NOT_IMPLEMENTED, refuse
from .store_roles import Accounts, credentials_in, wrong_password
from .store_settings import BOUNDS, MIB, OPEN_READS, settings_for
from .store_statement import Insert, Text, read_statement

BODY_MAX_BYTES: Final = 128 * MIB


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was let in.

    `known`: a password showed the role. `writing` is false for GET, which only reads, whoever asks. `limited`: the
    request bounds its own answer. `accepted`: codings that the answer may have.
    """

    role: Role
    known: bool
    writing: bool
    query_id: str
    session_id: str
    database: str
    format: str
    statement: Insert | Text | None
    parameters: dict[str, str]
    settings: dict[str, str]
    limited: bool
    accepted: str


async def read_request(request: web.Request, accounts: Accounts, open_reads: bool) -> Asked:
    """Checks and reads a request. StoreError says what is wrong with it."""
    check_door(request.headers, request.remote or "")
    query = dict(request.query)
    role, known = _caller(request, query, accounts, open_reads)
    body = await _body(request, query)
    if query.get("decompress") == "1" or query.get("compress") == "1":
        raise refuse(NOT_IMPLEMENTED, "compress and decompress: use Content-Encoding and enable_http_compression.")
    text = query.get("query", "")
    return Asked(
        role=role,
        known=known,
        writing=request.method == "POST",
        query_id=query.get("query_id", ""),
        session_id=query.get("session_id", ""),
        database=query.get("database") or request.headers.get("X-ClickHouse-Database") or "",
        format=query.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated",
        statement=read_statement(text, body) if text.strip() or body.strip() else None,
        parameters={name[6:]: value for name, value in query.items() if name.startswith("param_")},
        settings=settings_for(role, BOUNDS[role] if known else OPEN_READS, query),
        limited="max_result_bytes" in query,
        accepted=request.headers.get("Accept-Encoding", "") if query.get("enable_http_compression") == "1" else "",
    )


def _caller(request: web.Request, query: dict[str, str], accounts: Accounts, open_reads: bool) -> tuple[Role, bool]:
    """Role, and whether a password showed it."""
    given = credentials_in(request.headers, query)
    if given is not None:
        return accounts.role_of(*given), True
    if open_reads and request.method == "GET":
        return "reader", False
    raise wrong_password()


async def _body(request: web.Request, query: dict[str, str]) -> bytes:
    """The body without its coding. The fields of a form join the query string, as on a server."""
    try:
        if request.content_type == "multipart/form-data":
            for name, value in (await request.post()).items():
                if not isinstance(value, str):
                    raise refuse(NOT_IMPLEMENTED, "External data is not supported by the embedded store.")
                query[name] = value
            return b""
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise too_long(BODY_MAX_BYTES) from error
    return decoded(raw, request.headers.get("Content-Encoding", ""), BODY_MAX_BYTES)
