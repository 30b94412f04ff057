"""The meter: two agents over traffic and usage, wired together (DESIGN section 1).

traffic ──▶ Counter ──▶ usage ──▶ Keeper ──▶ control (kill, block), violations, audit
               └──▶ attribution, audit, control (kill of one exchange)
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import faust

from penstock.schemas.addresses import kafka_client
from penstock.schemas.policy import load_policy
from penstock.schemas.secrets import read_secret
from penstock.schemas.settings import Settings
from penstock.schemas.topics import ATTRIBUTION, AUDIT, BUDGETS, CONTROL, TRAFFIC, USAGE, VIOLATIONS
from penstock.wire.price import price
from penstock.wire.tokens import count_text, encoding_for
from penstock.wire.usage import Usage

from .app import instance_of, make_app
from .counter import Counter
from .decisions import Rules
from .keeper import Keeper
from .outlet import Outlet
from .rewind import Rewinder

NAME: Final = "meter"
SETTLE_EVERY_S: Final = 0.5
RETIRE_EVERY_S: Final = 60.0
WRITTEN: Final = (USAGE, CONTROL, ATTRIBUTION, AUDIT, BUDGETS, VIOLATIONS["budget"])


def build_app(settings: Settings, instance: int) -> faust.App:
    """The meter's Faust app. Reads policy and secret (PolicyError, SettingsError); opens no connection."""
    app = make_app(NAME, settings, instance)
    client, own_name = kafka_client(settings), instance_of(NAME, instance)
    secret = read_secret("control_mac", settings.secrets.control_mac, settings.state)
    outlet = Outlet(client, f"/meter/{own_name}", secret.current)
    rules, rewinder = rules_of(settings, instance), Rewinder(client)
    counter = Counter(rules, outlet, rewinder, own_name)
    keeper = Keeper(rules, outlet, rewinder, own_name)
    warm_up()
    _add_agent(app, TRAFFIC, "traffic", counter.take)
    _add_agent(app, USAGE, "usage", keeper.take)
    app.timer(RETIRE_EVERY_S, name="penstock.meter.retire")(keeper.retire)
    _add_life(app, outlet, counter, keeper)
    return app


def _add_agent(app: faust.App, topic: str, name: str, take: Callable[[Any], Awaitable[None]]) -> None:
    """An agent that gives each record of a topic to `take`, one after another."""

    async def agent(stream: Any) -> None:
        async for event in stream.noack().events():
            await take(event.message)

    app.agent(_topic(app, topic), name=f"penstock.meter.{name}", concurrency=1)(agent)


def _add_life(app: faust.App, outlet: Outlet, counter: Counter, keeper: Keeper) -> None:
    """What happens as partitions come and go, every now and then between, and at the end."""

    async def settle() -> None:
        for message in [*await counter.settle(), *await keeper.settle()]:
            message.ack(app.consumer)

    async def forget(_app: Any, revoked: Any, **_: Any) -> None:
        counter.forget()
        keeper.forget()

    async def prepare(_app: Any, assigned: Any, **_: Any) -> None:
        held = {name: sorted(place.partition for place in assigned if place.topic == name) for name in (TRAFFIC, USAGE)}
        app.add_future(_prepare(outlet, counter, keeper, held))

    async def close(_app: Any, **_: Any) -> None:
        await settle()
        await outlet.close()

    app.timer(SETTLE_EVERY_S, name="penstock.meter.settle")(settle)
    app.on_partitions_revoked.connect(forget, weak=False)
    app.on_partitions_assigned.connect(prepare, weak=False)
    app.on_before_shutdown.connect(close, weak=False)


def rules_of(settings: Settings, instance: int) -> Rules:
    """What this instance is told by settings and policy."""
    policy = load_policy(settings.policy_path)
    return Rules(
        limits=policy.limits,
        policy_version=policy.version,
        actor=f"{NAME}:{instance}",
        body_max_bytes=settings.tap.parse_max_bytes,
        rewind_max_bytes=settings.streams.rewind_max_bytes,
    )


def warm_up() -> None:
    """Loads vocabularies and prices now, so that no first stream waits for them."""
    for model in ("gpt-4o", "claude-sonnet-4-5"):
        count_text(encoding_for(model, "openai.chat"), "warm")
        price(model, "", Usage(input_tokens=1, output_tokens=1), datetime.now(UTC))


async def _prepare(outlet: Outlet, counter: Counter, keeper: Keeper, held: dict[str, list[int]]) -> None:
    """What a first record would have to wait for, done when partitions are assigned."""
    await outlet.open(WRITTEN)
    await keeper.prepare(held[USAGE])
    await counter.prepare(held[TRAFFIC])


def _topic(app: faust.App, name: str) -> Any:
    return app.topic(name, value_type=bytes, value_serializer="raw", key_type=bytes, key_serializer="raw")
