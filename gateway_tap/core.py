"""What every relay of a tap shares: parts made once at start, and the exchanges that run."""

import asyncio
import functools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from penstock.schemas.frames import EventWriter
from penstock.schemas.ids import new_exchange_id
from penstock.schemas.policy import Policy
from penstock.schemas.tap_settings import Tap
from penstock.wire import masks
from penstock.wire.request import RequestInfo

from .admission import Gate, asks_model
from .callers import Callers
from .clock import Clock
from .deadlines import Deadlines
from .identity import Keys, Trusted
from .orders import Orders, Standing
from .outlet import Turn
from .partition import new_id_in, partition_of
from .pool import Pool
from .publisher import Publisher
from .routes import Routes
from .salts import Salts
from .tape import Tape
from .trace_ids import TraceIds

PROMPT_ACK_S: Final = 5.0

if TYPE_CHECKING:
    from .downstream import Downstream
    from .relay import Relay


@dataclass(slots=True)
class Core:
    """The tap's own parts. `running` holds each exchange from its first event to its last, by id; `room` is how many
    clients there may be at once, `lost` counts calls that failed by upstream and cause."""

    tap: Tap
    routes: Routes
    pools: dict[str, Pool]
    keys: Keys
    trusted: Trusted
    pepper: bytes = field(repr=False)
    orders: Orders
    gate: Gate
    publisher: Publisher
    clock: Clock
    salts: Salts
    deadlines: Deadlines
    turn: Turn
    policy: Policy
    room: int
    running: "dict[str, Relay]" = field(default_factory=dict)
    clients: "set[Downstream]" = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    callers: Callers = field(init=False)
    asks_model: bool = field(init=False)
    request_headers: masks.Allowed = field(init=False)
    response_headers: masks.Allowed = field(init=False)
    source: str = ""
    trace_ids: TraceIds = field(default_factory=TraceIds)
    quiet: asyncio.Event = field(default_factory=asyncio.Event)
    pressed: bool = False

    def __post_init__(self) -> None:
        self.source = f"/tap/{self.tap.id}"
        self.derive()

    def derive(self) -> None:
        """Makes what follows from the settings, the policy and the keys; again after a reload."""
        self.asks_model = asks_model(self.policy)
        extra = frozenset(name.lower() for name in self.tap.published_headers)
        self.callers = Callers(self.keys, self.trusted, self.pepper)
        self.request_headers = masks.allow(masks.REQUEST_HEADERS | extra)
        self.response_headers = masks.allow(masks.RESPONSE_HEADERS | extra)

    @property
    def policy_version(self) -> str:
        return self.policy.version

    @property
    def on_journal_full(self) -> str:
        return self.policy.failures.on_journal_full

    @property
    def strict(self) -> bool:
        """Audit strict: the upstream is called, and the last bytes are given, once Kafka has acknowledged."""
        return self.tap.audit == "strict"

    @property
    def asks_for_room(self) -> bool:
        """A new request is refused while what waits for Kafka has no room for it. Mode observe drops, and says so."""
        return self.strict or (self.gate.enforcing and self.on_journal_full == "refuse")

    def held(self, partition: int) -> "tuple[asyncio.Future[None], float] | None":
        """What a new exchange waits for before its upstream is called, and for how many seconds; None: nothing."""
        if self.strict:
            return self.publisher.acknowledged(partition), PROMPT_ACK_S
        if self._waits_for_room and not self.publisher.has_room:
            return self.publisher.room(), self.tap.journal.room_wait_s
        return None

    def press(self, pressed: bool) -> None:
        """Room for what waits for Kafka runs out, or is back. Where the policy says `wait`, running answers are read no
        further meanwhile."""
        pressed = pressed and self._waits_for_room
        if pressed != self.pressed:
            self.pressed = pressed
            for relay in list(self.running.values()):
                relay.flow()

    @property
    def _waits_for_room(self) -> bool:
        return self.tap.audit == "journal" and self.gate.enforcing and self.on_journal_full == "wait"

    def new_exchange_id(self, info: RequestInfo, upstream: str) -> str:
        """The id of a new exchange. All that is about background responses of one upstream meets in one partition."""
        if not info.background and not info.of_response:
            return new_exchange_id()
        partitions = self.publisher.partitions
        return new_id_in(partition_of(f"responses:{upstream}", partitions), partitions)

    def tape(self, exchange_id: str, key_id: str, credentials: list[bytes]) -> tuple[Tape, int]:
        """A tape for a new exchange, and the partition that it writes to."""
        partition = partition_of(exchange_id, self.publisher.partitions)
        writer = EventWriter(exchange_id, self.source, f"key:{key_id}")
        publish = functools.partial(self._publish, partition, exchange_id)
        ahead = functools.partial(self.publisher.partial, exchange_id) if self.tap.audit == "journal" else None
        return Tape(writer, publish, self.salts, credentials, ahead), partition

    def _publish(self, partition: int, exchange_id: str, events: list[bytes]) -> None:
        """In audit strict an event that finds no room ends its exchange: nothing is given that is not recorded."""
        if not self.publisher.publish(partition, exchange_id, events) and self.strict:
            relay = self.running.get(exchange_id)
            if relay is not None:
                asyncio.get_running_loop().call_soon(relay.fault)

    def ended(self, relay: "Relay") -> None:
        """An exchange has published its last event. `quiet` is set whenever none is left."""
        self.running.pop(relay.exchange.id, None)
        self.outcomes[relay.exchange.outcome or "tap_error"] += 1
        if not self.running:
            self.quiet.set()

    def begun(self, relay: "Relay") -> None:
        """An exchange publishes its first event."""
        self.running[relay.exchange.id] = relay
        self.quiet.clear()

    def kill(self, standing: Standing) -> None:
        """A kill order has arrived: every running exchange of its scope ends, or (observe) notes it."""
        scope = standing.order.scope
        kind, _, name = scope.partition(":")
        if kind == "exchange":
            relay = self.running.get(name)
            if relay is not None:
                relay.kill(standing)
            return
        for relay in [relay for relay in self.running.values() if scope in relay.scopes]:
            relay.kill(standing)
