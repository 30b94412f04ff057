"""Pure: one running exchange and the limits that apply to it: what was said of it, and what is new."""

from typing import Final
from uuid import UUID

import structlog

from penstock.schemas.errors import ContractError
from penstock.schemas.frames import Event
from penstock.schemas.usage import Place, Totals, UsageTotal

from .count import Exchange
from .decisions import Case, Rules, say_done, say_kill, say_settled, say_used_up
from .emission import Emission
from .limits import Applied, applying, scopes_of, window_of
from .own import OwnLimits
from .responses import Responses
from .settle import final_totals, running_totals, settle

UNSEEN: Final = -1
"""The `start` of an exchange whose first frame was not read here."""

_log = structlog.get_logger("penstock.streams.running")


class Running:
    """`exchange` while it runs. `born_at_bytes`: how many bytes of its partition had been read when it began;
    `heard_us`: append time of the last frame that spoke of it.

    Its limits are known once its prompt is counted: nothing is said of it before, but for its end.
    """

    def __init__(self, exchange: Exchange, born_at_bytes: int, rules: Rules, responses: Responses) -> None:
        self.exchange = exchange
        self.born_at_bytes = born_at_bytes
        self.heard_us = 0
        self._rules = rules
        self._responses = responses
        self._shared: tuple[Applied, ...] | None = None
        self._own: OwnLimits | None = None
        self._said: Totals | None = None
        self._steps: list[tuple[int, int]] = []

    def feed(self, event: Event, appended_us: int, now_us: int) -> list[Emission]:
        """Takes in an event; says which of the exchange's own limits it passes. An event whose JSON cannot be read is
        left out."""
        exchange, tokens = self.exchange, self.exchange.output_tokens
        try:
            if not exchange.feed(event):
                return []
        except ContractError as error:
            _log.warning("event not counted", exchange=exchange.id, seq=event.seq, error=type(error).__name__)
        except Exception:  # noqa: BLE001 – a supervisor, see below
            # Supervises one event, so that nothing that a client or an upstream writes can stop the counting of all
            # others: afterwards the exchange goes on without the rest of this event, and its figures are estimates.
            exchange.holes = True
            _log.exception("event not counted", exchange=exchange.id, seq=event.seq)
        if exchange.output_tokens != tokens:
            self._steps.append((exchange.last_time_us, exchange.output_tokens))
        if not self._known or exchange.completion is not None:
            return []
        own = self._limits()[1]
        if not own.left:
            return []
        return self._judge(
            own, running_totals(exchange, self._responses.before(exchange), priced=own.priced), appended_us, now_us
        )

    def totals(self, place: Place) -> list[UsageTotal]:
        """The running totals for each shared limit, if they have changed since they were last said."""
        if not self._known:
            return []
        shared = self._limits()[0]
        if not shared:
            self._steps.clear()
            return []
        priced = any(applied.limit.unit == "cost_usd" for applied in shared)
        totals = running_totals(self.exchange, self._responses.before(self.exchange), priced=priced)
        if totals == self._said:
            return []
        return self._say(totals, place, final=False)

    def end(self, place: Place, appended_us: int, now_us: int) -> tuple[list[Emission], list[UsageTotal]]:
        """The exchange is over: its attribution, what its own limits make of the final figures, and its final totals.

        A blocked exchange of which nothing was said is not said now.
        """
        exchange = self.exchange
        completion = exchange.completion
        if completion is None:
            raise ValueError(f"exchange {exchange.id} has not ended")
        self._name()
        settled = settle(exchange, completion, self._rules.policy_version, self._responses.before(exchange))
        totals = final_totals(settled)
        shared, own = self._limits()
        said = say_settled(self._rules, settled) + self._responses.note(exchange, settled)
        said += self._judge(own, totals, appended_us, now_us)
        said += [say_done(applied.limit, exchange.id) for applied in own.killed]
        if not shared or (settled.outcome == "blocked" and self._said is None):
            return said, []
        return said, self._say(totals, place, final=True)

    @property
    def _known(self) -> bool:
        """The prompt is counted, and the model is known by which limits apply."""
        exchange = self.exchange
        if exchange.request.of_response and not exchange.named:
            self._name()
        return exchange.input is not None and not (exchange.request.of_response and not exchange.named)

    def _name(self) -> None:
        if self.exchange.request.of_response:
            self.exchange.named = self._responses.model(self.exchange)

    def _limits(self) -> tuple[tuple[Applied, ...], OwnLimits]:
        if self._shared is None or self._own is None:
            exchange = self.exchange
            found = applying(self._rules.limits, scopes_of(exchange.identity, exchange.model, exchange.id))
            self._shared = tuple(applied for applied in found if not applied.of_exchange)
            self._own = OwnLimits(exchange.id, (applied for applied in found if applied.of_exchange))
        return self._shared, self._own

    def _judge(self, own: OwnLimits, totals: Totals, appended_us: int, now_us: int) -> list[Emission]:
        said: list[Emission] = []
        for applied, kill in own.judge(totals, self.exchange.last_time_us, over=self.exchange.completion is not None):
            window = window_of(applied.limit, self.exchange.birth.started_at_us)
            case = Case(applied.limit, applied.scope, window, appended_us, now_us)
            if kill is not None:
                said += say_kill(self._rules, case, kill)
            said += say_used_up(self._rules, case, self.exchange.id, self.exchange.last_time_us)
        return said

    def _say(self, totals: Totals, place: Place, *, final: bool) -> list[UsageTotal]:
        self._said = totals
        steps, self._steps = self._steps, []
        return [
            UsageTotal(
                limit_id=applied.limit.id,
                scope=applied.scope,
                exchange_id=self.exchange.id,
                started_at_us=self.exchange.birth.started_at_us,
                seq=self.exchange.last_seq,
                seq_time_us=self.exchange.last_time_us,
                place=place,
                steps=steps,
                totals=totals,
                final=final,
            )
            for applied in self._limits()[0]
        ]


def born_at_us(exchange_id: str, otherwise_us: int) -> int:
    """When the tap made `exchange_id` (RFC 9562, 5.7: a UUIDv7 begins with milliseconds); `otherwise_us` for any other
    kind of id."""
    try:
        found = UUID(exchange_id)
    except ValueError:
        return otherwise_us
    return (found.int >> 80) * 1000 if found.version == 7 else otherwise_us
