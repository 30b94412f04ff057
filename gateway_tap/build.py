"""Edge: makes the parts of a tap from its settings, but for its sockets and its readers of Kafka."""

from typing import Final

import structlog

from penstock.schemas.policy import load_policy
from penstock.schemas.secrets import read_secret
from penstock.schemas.settings import Settings

from .admission import Gate
from .clock import Clock
from .core import Core
from .deadlines import Deadlines
from .descriptors import room_for_clients
from .identity import Keys, Trusted
from .orders import Orders
from .outlet import Turn
from .pool import Pool
from .publisher import Publisher
from .routes import Routes
from .salts import Salts

NO_ROOM: Final = {
    "journal": "its journal is full, and the policy serves no requests until Kafka has taken some of it",
    "strict": "the audit trail cannot be written",
    "besteffort": "the audit trail cannot be written",
}

log = structlog.get_logger("penstock.tap")


def build(settings: Settings, publisher: Publisher, clock: Clock) -> Core:
    """All parts of a tap but its sockets and its readers of Kafka."""
    policy = load_policy(settings.policy_path)
    deadlines = Deadlines(clock, settings.tap.timeouts)
    turn = Turn()
    routes = Routes(settings.upstreams, settings.tap.timeouts, settings.base)
    return Core(
        tap=settings.tap,
        routes=routes,
        pools={route.name: Pool(route, deadlines, clock, turn, settings.tap.dns_ttl_s) for route in routes},
        keys=Keys(policy.keys),
        trusted=Trusted(settings.tap.trusted_callers),
        pepper=read_secret("pepper", settings.secrets.pepper, settings.state).current,
        orders=Orders(settings.tap.id),
        gate=Gate(settings.tap.mode, ready=settings.tap.mode == "observe", no_room=NO_ROOM[settings.tap.audit]),
        publisher=publisher,
        clock=clock,
        salts=Salts(),
        deadlines=deadlines,
        turn=turn,
        policy=policy,
        room=_room(settings.tap.max_connections),
    )


def _room(wanted: int) -> int:
    room = room_for_clients(wanted)
    if room < wanted:
        log.warning("few_descriptors", connections=room, max_connections=wanted, remedy="raise the limit on open files")
    return room
