"""Pure: what exchanges were charged of background responses, so that each token of a response is charged once.

A response that goes on without its request is reported by whoever asks for it, as often as they ask. The tap puts all
exchanges about background responses of one upstream into one traffic partition, so they are settled in order: each is
charged what goes beyond the shares before its own (docs/decisions/0016). Reading a frame again changes nothing.
"""

from typing import Final

from penstock.schemas import topics
from penstock.schemas.attribution import Attribution
from penstock.schemas.usage import ResponseCharge, ResponseShare

from .count import Exchange
from .emission import Emission, of_response
from .snapshot import response_key

RESPONSES_KEPT: Final = 20_000
SHARES_MAX: Final = 64
_NONE: Final = ResponseShare()
_TOKENS: Final = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")


class Responses:
    """The background responses of one traffic partition, the one that was charged longest ago first."""

    def __init__(self, partition: int, instance: str) -> None:
        self._partition = partition
        self._instance = instance
        self._found: dict[tuple[str, str], ResponseCharge] = {}

    def adopt(self, charge: ResponseCharge) -> None:
        """Takes over what was written before a restart."""
        key = (charge.upstream, charge.response_id)
        if key not in self._found or len(charge.shares) >= len(self._found[key].shares):
            self._found[key] = charge

    def before(self, exchange: Exchange) -> ResponseShare:
        """What was charged before `exchange` of the response that it is about.

        One that makes a response is no repeat of another that did: only what was fetched of it meanwhile counts.
        """
        charge = self._found.get(_key(exchange))
        if charge is None:
            return _NONE
        names = [share.exchange_id for share in charge.shares]
        end = names.index(exchange.id) if exchange.id in names else len(names)
        fetches = bool(exchange.request.of_response)
        return _sum([share for share in charge.shares[:end] if fetches or not share.made])

    def model(self, exchange: Exchange) -> str:
        """The model for which the response was asked; the one that answers where that was not seen."""
        charge = self._found.get(_key(exchange))
        return (charge.model if charge else "") or (exchange.reply.reader.model if exchange.reply else "")

    def note(self, exchange: Exchange, settled: Attribution) -> list[Emission]:
        """Remembers what `exchange` was charged; what must be written of it."""
        key = _key(exchange)
        if not exchange.background or not key[1]:
            return []
        known = self._found.get(key)
        share = _share_of(settled, made=not exchange.request.of_response)
        if known and any(one.exchange_id == exchange.id for one in known.shares):
            return []
        if not any(getattr(share, name) for name in _TOKENS) and (known or exchange.request.of_response):
            return []
        shares = [*(known.shares if known else ()), share]
        if len(shares) > SHARES_MAX:
            shares[:2] = [_sum(shares[:2])]
        charge = ResponseCharge(
            partition=self._partition,
            upstream=key[0],
            response_id=key[1],
            model=(known.model if known else "") or exchange.model,
            shares=shares,
        )
        self._found.pop(key, None)
        self._found[key] = charge
        said = [of_response(charge, response_key(charge, self._instance), settled.ended_at_us)]
        if len(self._found) > RESPONSES_KEPT:
            oldest = self._found.pop(next(iter(self._found)))
            said.append(Emission(topics.BUDGETS, response_key(oldest, self._instance), None, partition=self._partition))
        return said


def _key(exchange: Exchange) -> tuple[str, str]:
    return (exchange.head.upstream if exchange.head else "", exchange.response_id)


def _share_of(settled: Attribution, *, made: bool) -> ResponseShare:
    return ResponseShare(
        exchange_id=settled.exchange_id,
        made=made,
        input_tokens=settled.input.tokens,
        output_tokens=settled.output.tokens,
        cached_tokens=settled.cached_tokens,
        cache_write_tokens=settled.cache_write_tokens,
        reasoning_tokens=settled.reasoning_tokens,
    )


def _sum(shares: list[ResponseShare]) -> ResponseShare:
    sums = {name: sum(getattr(share, name) for share in shares) for name in _TOKENS}
    first = shares[0] if shares else _NONE
    return first.model_copy(update=sums)
