"""Pure: what an exchange has used while it runs, and its attribution at its end.

Per side the strongest source counts: what the provider reported, else the text under the model's own tokenizer, else a
calibrated estimate. What was reported before a stream was cut is no final figure of its output.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from penstock.schemas.attribution import Attribution, Kill, TokenCount
from penstock.schemas.events import Completion
from penstock.schemas.usage import ResponseShare, Totals
from penstock.wire.price import price
from penstock.wire.request import UNCHARGED
from penstock.wire.usage import Usage, merge_usage

from .count import Exchange
from .reply import rough_tokens

_NOTHING: Final = TokenCount(tokens=0, source="none")
_NO_SHARE: Final = ResponseShare()
_WITHOUT_TEXT: Final = UNCHARGED | {"embeddings", "gemini.embed"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAGES: Final = ("text/html", "application/xhtml")
_EMPTY: Final = (204, 205)
_TRACE: Final = ("trace_id", "span_id", "parent_span_id")
_AS_COMPLETED: Final = (
    *("status", "outcome", "reason", "started_at_us", "ended_at_us", "ttft_us", "duration_us"),
    *("chunk_count", "request_bytes", "response_bytes"),
)
_MAY_HAVE_REACHED_UPSTREAM: Final = frozenset({"killed", "client_disconnected"})


def running_totals(exchange: Exchange, before: ResponseShare = _NO_SHARE, *, priced: bool) -> Totals:
    """What a running exchange has used by now, beyond `before`. `priced` False leaves the cost at 0, which is
    cheaper."""
    reply = exchange.reply
    reported = merge_usage(reply.reader.api, reply.usage) if reply and reply.usage else None
    counted = exchange.input.tokens if exchange.input else 0
    input_tokens = reported.input_tokens if reported and reported.input_tokens is not None else counted
    input_tokens = max(0, input_tokens - before.input_tokens)
    output_tokens = max(0, exchange.output_tokens - before.output_tokens)
    cost = Decimal(0)
    if priced:
        parts = Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cached_tokens=reported.cached_tokens if reported else None,
            cache_write_tokens=reported.cache_write_tokens if reported else None,
        )
        cost = _cost(exchange, _answering(exchange), parts)[0] or cost
    return Totals(input_tokens=input_tokens, output_tokens=output_tokens, cost_usd=cost)


def final_totals(settled: Attribution) -> Totals:
    """What an ended exchange counts towards limits. A blocked one was no request."""
    return Totals(
        input_tokens=settled.input.tokens,
        output_tokens=settled.output.tokens,
        cost_usd=settled.cost_usd or Decimal(0),
        requests=0 if settled.outcome == "blocked" else 1,
    )


def settle(
    exchange: Exchange, completion: Completion, policy_version: str, before: ResponseShare = _NO_SHARE
) -> Attribution:
    """The attribution of an exchange that has ended with `completion`. The same events give the same attribution.

    `before`: what other exchanges were charged of the same response.
    """
    charged = is_charged(exchange, completion)
    reply = exchange.reply
    return Attribution(
        exchange_id=exchange.id,
        identity=exchange.identity,
        requested_model=exchange.model,
        stream=exchange.request.stream,
        finish_reason=_finish_reason(exchange, completion),
        counted_output_tokens=reply.tokens if charged and reply and reply.tokens else None,
        usage_raw=completion.usage or (reply.usage if reply else []),
        prefix_unseen=exchange.prefix_unseen,
        kill=_kill(exchange, completion),
        policy_version=policy_version,
        **{name: getattr(completion, name) for name in _AS_COMPLETED},
        **_asked(exchange),
        **_used(exchange, completion, before, charged=charged),
    )


def _asked(exchange: Exchange) -> dict[str, Any]:
    """Members of `Attribution` that the prompt's head says, as far as it was seen."""
    head, reply = exchange.head, exchange.reply
    if head is None:
        api = exchange.request.api if reply is None else reply.reader.api
        return {"upstream": "", "dialect": "opaque", "api": api, "path": ""}
    named = {name: getattr(head, name) for name in ("upstream", "dialect", "path", *_TRACE)}
    return {**named, "api": exchange.request.api}


def _used(exchange: Exchange, completion: Completion, before: ResponseShare, *, charged: bool) -> dict[str, Any]:
    """Members of `Attribution`: tokens, and what they cost. None where nobody is charged."""
    usage = _reported(exchange, completion) if charged else None
    sides = (_input(exchange, usage), _output(exchange, completion, usage)) if charged else (_NOTHING, _NOTHING)
    deferred = charged and usage is None and _is_reported_later(exchange, completion)
    if charged and (exchange.background or exchange.request.of_response):
        usage, sides = _beyond(exchange, completion, usage, sides, before)
    parts = Usage(
        input_tokens=sides[0].tokens,
        output_tokens=sides[1].tokens,
        cached_tokens=usage.cached_tokens if usage else None,
        cache_write_tokens=usage.cache_write_tokens if usage else None,
        reasoning_tokens=usage.reasoning_tokens if usage else None,
    )
    model = completion.model or _answering(exchange)
    cost, price_source = _cost(exchange, model, parts) if charged else (Decimal(0), "")
    return {
        "model": model,
        "input": sides[0],
        "output": sides[1],
        "cached_tokens": parts.cached_tokens or 0,
        "cache_write_tokens": parts.cache_write_tokens or 0,
        "reasoning_tokens": parts.reasoning_tokens or 0,
        "cost_usd": cost,
        "price_source": price_source,
        "lower_bound": deferred or (charged and _is_lower_bound(exchange, completion, *sides)),
    }


def is_charged(exchange: Exchange, completion: Completion) -> bool:
    """Whether anyone may be billed: not for a refused request, nor for one that the upstream turned down or never got.

    Nor is an answer that no model gave: a redirect, one without a body, a web page. A request that was cut before an
    answer began may have reached the upstream, and is charged its input.
    """
    status = completion.upstream_status
    if completion.outcome == "blocked" or (status and not 200 <= status < 300) or status in _EMPTY:
        return False
    if _is_page(exchange, completion):
        return False
    if status or (exchange.reply and exchange.reply.upstream_bytes):
        return True
    return exchange.abandoned or completion.recovered or completion.outcome in _MAY_HAVE_REACHED_UPSTREAM


def _is_page(exchange: Exchange, completion: Completion) -> bool:
    """Whether the answer is a web page, such as a proxy or a sign-in form gives, and says nothing of its protocol."""
    reply = exchange.reply
    if not completion.content_type.lower().startswith(_PAGES):
        return False
    return not completion.usage and (reply is None or not (reply.tokens or reply.usage or reply.reader.model))


def _answering(exchange: Exchange) -> str:
    """The model that answers, as far as it is known: a deployment's own name has no price."""
    return (exchange.reply.reader.model if exchange.reply else "") or exchange.model


def _is_reported_later(exchange: Exchange, completion: Completion) -> bool:
    """Whether the answer says no more than that a background response was begun."""
    return (
        exchange.request.background and completion.outcome == "completed" and not _finish_reason(exchange, completion)
    )


def _beyond(
    exchange: Exchange,
    completion: Completion,
    usage: Usage | None,
    sides: tuple[TokenCount, TokenCount],
    before: ResponseShare,
) -> tuple[Usage | None, tuple[TokenCount, TokenCount]]:
    """What a response that others report too has used beyond `before`. Nothing where it was made in the foreground:
    then the request that made it is charged; and nothing while it says nothing of its use."""
    whole = completion.outcome == "completed"
    silent = usage is None and whole and (exchange.request.of_response or not _finish_reason(exchange, completion))
    if not exchange.background or silent:
        return None, (_NOTHING, _NOTHING)
    if usage is not None:
        usage = Usage(
            cached_tokens=max(0, (usage.cached_tokens or 0) - before.cached_tokens),
            cache_write_tokens=max(0, (usage.cache_write_tokens or 0) - before.cache_write_tokens),
            reasoning_tokens=max(0, (usage.reasoning_tokens or 0) - before.reasoning_tokens),
        )
    return usage, (_less(sides[0], before.input_tokens), _less(sides[1], before.output_tokens))


def _less(count: TokenCount, charged: int) -> TokenCount:
    left = max(0, count.tokens - charged)
    return count.model_copy(update={"tokens": left}) if left else _NOTHING


def _reported(exchange: Exchange, completion: Completion) -> Usage | None:
    reply = exchange.reply
    objects = completion.usage or (reply.usage if reply else [])
    api = reply.reader.api if reply else exchange.request.api
    return merge_usage(api, objects) if objects else None


def _finish_reason(exchange: Exchange, completion: Completion) -> str:
    return completion.finish_reason or (exchange.reply.reader.finish_reason if exchange.reply else "")


def _is_final(exchange: Exchange, completion: Completion) -> bool:
    """Whether the reply came to its own end, so that reported output is all of it."""
    return completion.outcome == "completed" or bool(_finish_reason(exchange, completion))


def _input(exchange: Exchange, usage: Usage | None) -> TokenCount:
    if usage and usage.input_tokens is not None:
        return TokenCount(tokens=usage.input_tokens, source="reported")
    return exchange.input or _NOTHING


def _output(exchange: Exchange, completion: Completion, usage: Usage | None) -> TokenCount:
    counted = _counted(exchange)
    if usage is None or usage.output_tokens is None:
        return counted
    if _is_final(exchange, completion) or usage.output_tokens > counted.tokens:
        return TokenCount(tokens=usage.output_tokens, source="reported")
    return counted


def _counted(exchange: Exchange) -> TokenCount:
    reply = exchange.reply
    if reply is None or reply.reader.api in _WITHOUT_TEXT:
        return _NOTHING
    tokens, method = reply.tokens, reply.method
    if reply.unread_bytes:
        return TokenCount(tokens=tokens + rough_tokens(reply.unread_bytes), source="estimated", method="bytes/4")
    exact = method.exact and not exchange.holes and not reply.sampled
    return TokenCount(tokens=tokens, source="counted" if exact else "estimated", method=method.name)


def _is_lower_bound(exchange: Exchange, completion: Completion, given: TokenCount, output: TokenCount) -> bool:
    """Whether tokens may have been used that neither the text nor the provider shows."""
    if exchange.prefix_unseen and given.source == "none":
        return True
    final = _is_final(exchange, completion)
    if final and exchange.request.of_response:
        return False
    if output.source == "reported" and final:
        return False
    if exchange.reply is None or not exchange.reply.upstream_bytes:
        return not final
    return exchange.reply.method.hidden or exchange.reply.reader.hides or exchange.holes


def _cost(exchange: Exchange, model: str, parts: Usage) -> tuple[Decimal | None, str]:
    head = exchange.head
    at = _EPOCH + timedelta(microseconds=exchange.birth.started_at_us)
    upstream, dialect = (head.upstream, head.dialect) if head else ("", "opaque")
    cost, source = price(model, upstream, parts, at, dialect) if model else (None, "")
    if cost is None and exchange.model and model != exchange.model:
        return price(exchange.model, upstream, parts, at, dialect)
    return cost, source


def _kill(exchange: Exchange, completion: Completion) -> Kill | None:
    order = completion.killed_by
    if order is None or completion.outcome != "killed":  # a refused request was never running
        return None
    allowed = order.allowed_output_tokens
    beyond = 0 if allowed is None else max(0, exchange.delivered_tokens - allowed)
    cut_us = None if order.crossed_at_us is None else order.applied_at_us - order.crossed_at_us
    return Kill(order=order, overshoot_tokens=beyond, cut_us=cut_us)
