"""Pure: opens an exchange for a request that was read: where it goes, what it asks, who is charged, and what its first
event says."""

from dataclasses import dataclass, field

from penstock.schemas.events import Dialect
from penstock.schemas.written import Head
from penstock.wire import masks
from penstock.wire.asked_usage import ADDED, with_usage_asked
from penstock.wire.decode import decoded
from penstock.wire.request import RequestInfo, read_request
from penstock.wire.trace import PARENT_NAME, passed_on, trace_of

from .admission import Verdict, admit, unread_model
from .core import Core
from .exchange import Exchange, Step
from .headers import Headers, joined
from .identity import Caller
from .refuse import Refusal
from .request import Request
from .routes import Chosen
from .tape import Tape


@dataclass(slots=True)
class Opened:
    """An exchange at its beginning. `chosen` is None where no upstream can take the request; `headers` are those that
    it gets, and `asked` its body where the tap has asked for more than the client did."""

    exchange: Exchange
    tape: Tape
    partition: int
    chosen: Chosen | None
    dialect: Dialect
    info: RequestInfo
    caller: Caller
    scopes: list[str]
    head: bytes
    headers: Headers = field(repr=False)
    asked: bytes | None = field(repr=False)


def open_exchange(core: Core, request: Request, body: bytes | None, address: str) -> Opened:
    """Everything that is known before admission. `body` None: it is larger than the tap reads, and passes through."""
    chosen = core.routes.choose(request.target)
    path = chosen.path if chosen else request.target.decode("latin-1")
    dialect: Dialect = chosen.route.dialect if chosen else "openai"
    coding = joined(request.headers, request.fields, b"content-encoding").decode("latin-1")
    readable = decoded(body, coding, core.tap.parse_max_bytes) if body and coding else body
    info = read_request(dialect, request.method, path, readable)
    exchange_id = core.new_exchange_id(info, chosen.route.name if chosen else "")
    credentials = masks.credentials_of(request.headers, path, core.tap.credential_headers)
    known = core.callers.find(credentials, request.fields, address, request.started_at_us)
    caller = known.caller
    trace = trace_of(joined(request.headers, request.fields, PARENT_NAME), core.trace_ids())
    tape, partition = core.tape(exchange_id, caller.identity.key_id, credentials)
    asked = with_usage_asked(info.api, body) if body and info.stream and core.policy.usage.ask_providers else None
    head = Head(
        method=request.method,
        path=masks.mask_path(path),
        upstream=chosen.route.name if chosen else "",
        dialect=dialect,
        api=info.api,
        model=info.model,
        stream=info.stream,
        headers=masks.published(request.headers, core.request_headers),
        identity=known.written,
        tap=core.tap.id,
        mode=core.tap.mode,
        audit=core.tap.audit,
        policy_version=core.policy_version,
        added=[ADDED] if asked else [],
        trace_id=trace.trace_id,
        parent_span_id=trace.parent,
        span_id=trace.span,
    )
    return Opened(
        exchange=Exchange(
            exchange_id, request.started_at_us, request.started_s, caller.identity, request_encoding=coding
        ),
        tape=tape,
        partition=partition,
        chosen=chosen,
        dialect=dialect,
        info=info,
        caller=caller,
        scopes=[*known.scopes, f"model:{info.model}"] if info.model else [*known.scopes],
        head=head.json(),
        headers=_plain(passed_on(request.headers, trace)) if asked else passed_on(request.headers, trace),
        asked=asked,
    )


def _plain(headers: Headers) -> Headers:
    """`headers` that take no content coding: of an encoded stream nothing could be withheld."""
    return [pair for pair in headers if pair[0].lower() != b"accept-encoding"]


def judge(core: Core, request: Request, opened: Opened, now_us: int) -> Verdict | None:
    """Why the request is not served, or in mode observe would not have been; None: it goes on."""
    problem = request.problem
    if problem is not None:
        refusal = Refusal(problem.status, problem.message, problem.code, problem.retry_after_s)
        return Verdict(Step.FAULT, problem.message, refusal)
    if opened.chosen is None:
        known = ", ".join(f"/{name}/" for name in core.routes.names) or "none"
        message = f"no upstream takes this path; configured are: {known}"
        return Verdict(Step.FAULT, message, Refusal(404, message, "no_upstream"))
    if core.asks_model and opened.info.names and not opened.info.model:
        return unread_model(now_us, observed=not core.gate.enforcing)
    room = not core.asks_for_room or core.publisher.has_room
    return admit(core.gate, core.orders, opened.caller, opened.scopes, room, now_us)
