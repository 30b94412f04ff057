"""Pure: the running exchanges of one traffic partition. Frames go in, in order; what the meter has to say comes out.

State is a function of the partition's frames alone, so reading them again says the same again (docs/decisions/0006).
"""

from collections.abc import Container
from typing import Final

from penstock.schemas.errors import ContractError
from penstock.schemas.events import TapStarted
from penstock.schemas.frames import Event
from penstock.schemas.records import read_value
from penstock.schemas.usage import MeterPosition, Place, UnseenExchange, UsageTotal

from .count import Birth, Exchange
from .decisions import Rules
from .emission import Emission, of_usage
from .intake import TrafficFrame
from .responses import Responses
from .running import UNSEEN, Running, born_at_us

ENDED_KEPT: Final = 20_000
"""Ids of ended exchanges that are remembered: what the tap sends of them afterwards is a repeat."""

QUIET_US: Final = 24 * 3_600_000_000
"""An exchange of which nothing came for so long has lost its end: its tap dropped it, or is gone for good."""


class Tally:
    """One traffic partition. `next_offset` is the first frame that it has not taken in, None before the first; `open`
    holds the running exchanges, the one that was heard of longest ago first."""

    def __init__(self, partition: int, rules: Rules) -> None:
        self.partition = partition
        self.next_offset: int | None = None
        self.open: dict[str, Running] = {}
        self._rules = rules
        self._bytes = 0
        self._ended: dict[str, None] = {}
        self.responses = Responses(partition, rules.actor)

    def strangers(self, frame: TrafficFrame) -> dict[str, int | None]:
        """Exchanges of `frame` that began before anything read here, each with the offset of its first frame where the
        tap knew it: they must be looked up (`rebuild`) before `apply`. In a replayed frame any new one may be such."""
        found: dict[str, int | None] = {}
        begun: set[str] = set()
        for _, event in frame.events:
            name = event.exchangeid
            if event.kind == "tap" or name in self.open or name in self._ended or name in begun:
                continue
            begun.add(name)
            if event.seq != 0 or frame.replayed:
                found[name] = event.start
        return found

    def apply(self, frame: TrafficFrame, now_us: int) -> list[Emission]:
        """Takes in the next frame. Kills stand first; usage records come in the order of their places."""
        said = self._apply(frame, now_us, None)
        self.next_offset = frame.offset + 1
        return said

    def rebuild(self, frame: TrafficFrame, wanted: Container[str]) -> None:
        """Takes in an earlier frame again for the exchanges `wanted`, saying nothing."""
        self._apply(frame, 0, wanted)

    def adopt(self, position: MeterPosition) -> None:
        """Takes over what `position` says of exchanges that cannot be read again; those it calls open are rebuilt."""
        self.next_offset = position.next_offset
        for name, unseen in sorted(position.unseen.items(), key=lambda item: item[1].heard_us):
            birth = Birth(unseen.tap, unseen.epoch, UNSEEN, unseen.started_at_us)
            exchange = Exchange(name, birth, self._rules.body_max_bytes, prefix_unseen=True)
            exchange.subject, exchange.last_seq = unseen.subject, unseen.seq
            running = self.open[name] = Running(exchange, self._bytes, self._rules, self.responses)
            running.heard_us = unseen.heard_us

    def position(self) -> MeterPosition:
        """Where a successor may go on, and from where it must read again for what runs now."""
        opened: dict[str, int] = {}
        unseen: dict[str, UnseenExchange] = {}
        for name, running in self.open.items():
            birth, exchange = running.exchange.birth, running.exchange
            if birth.start != UNSEEN and self._bytes - running.born_at_bytes <= self._rules.rewind_max_bytes:
                opened[name] = birth.start
            else:
                unseen[name] = UnseenExchange(
                    tap=birth.tap,
                    epoch=birth.epoch,
                    subject=exchange.subject,
                    started_at_us=birth.started_at_us,
                    seq=exchange.last_seq,
                    heard_us=running.heard_us,
                )
        return MeterPosition(partition=self.partition, next_offset=self.next_offset or 0, open=opened, unseen=unseen)

    def _apply(self, frame: TrafficFrame, now_us: int, wanted: Container[str] | None) -> list[Emission]:
        said: list[Emission] = []
        totals: list[UsageTotal] = []
        touched: dict[str, int] = {}
        for index, event in frame.events:
            if event.kind == "tap":
                ended = self._orphans(event) if wanted is None else []
            elif wanted is None or event.exchangeid in wanted:
                running = self._running(frame, event)
                if running is None:
                    continue
                said += running.feed(event, frame.appended_us, now_us)
                running.heard_us = frame.appended_us
                self.open[event.exchangeid] = self.open.pop(event.exchangeid)
                touched[event.exchangeid] = index
                ended = [running] if running.exchange.completion else []
            else:
                continue
            for running in ended:
                touched.pop(running.exchange.id, None)
                emissions, finals = self._end(running, frame, index, now_us)
                said += emissions
                totals += finals
        for running in self._silent(frame) if wanted is None else ():
            emissions, finals = self._end(running, frame, len(frame.events), now_us)
            said += emissions
            totals += finals
        self._bytes += frame.size_bytes
        for name, index in touched.items():
            totals += self.open[name].totals(_place(frame, index))
        totals.sort(key=lambda total: (total.place.index, total.exchange_id))
        return said + [of_usage(total) for total in totals]

    def _running(self, frame: TrafficFrame, event: Event) -> Running | None:
        name = event.exchangeid
        running = self.open.get(name)
        if running is None and name not in self._ended:
            unseen = event.seq != 0
            born_us = min(born_at_us(name, frame.appended_us), frame.appended_us) if unseen else frame.appended_us
            birth = Birth(frame.tap, frame.epoch, UNSEEN if unseen else frame.offset, born_us)
            exchange = Exchange(name, birth, self._rules.body_max_bytes, prefix_unseen=unseen)
            if unseen:
                exchange.last_seq = event.seq - 1
            running = self.open[name] = Running(exchange, self._bytes, self._rules, self.responses)
        return running

    def _orphans(self, event: Event) -> list[Running]:
        """The exchanges that the started tap's earlier epochs have left open; nothing more will come of them."""
        try:
            started = read_value(TapStarted, event.body)
        except ContractError:
            return []
        found = []
        for name in sorted(self.open):
            birth = self.open[name].exchange.birth
            if birth.tap == started.tap and birth.epoch < started.epoch:
                self.open[name].exchange.abandon("the tap ended before the exchange did")
                found.append(self.open[name])
        return found

    def _silent(self, frame: TrafficFrame) -> list[Running]:
        """The exchanges whose end never came, by Kafka's clock. What a gap swallowed must not count as running, nor be
        remembered, for ever."""
        found = []
        for running in self.open.values():
            if running.heard_us > frame.appended_us - QUIET_US:
                break
            running.exchange.abandon("nothing more came of it for 24 hours")
            found.append(running)
        return found

    def _end(
        self, running: Running, frame: TrafficFrame, index: int, now_us: int
    ) -> tuple[list[Emission], list[UsageTotal]]:
        name = running.exchange.id
        del self.open[name]
        self._ended[name] = None
        if len(self._ended) > ENDED_KEPT:
            del self._ended[next(iter(self._ended))]
        return running.end(_place(frame, index), frame.appended_us, now_us)


def _place(frame: TrafficFrame, index: int) -> Place:
    return Place(partition=frame.partition, offset=frame.offset, index=index)
