"""What `/metrics` says of a tap. Everything is counted anyway; asking costs the traffic nothing."""

from .control import Control
from .core import Core
from .gauges import Family
from .journal_gauges import journal_families
from .publish import KafkaPublisher
from .reload import Reload


def families(core: Core, publisher: KafkaPublisher, control: Control, reload: Reload) -> list[Family]:
    """All families of one tap."""
    outcomes = [({"outcome": outcome}, count) for outcome, count in sorted(core.outcomes.items())]
    pools = [({"upstream": name}, pool.idle_count) for name, pool in sorted(core.pools.items())]
    lost = [
        ({"upstream": upstream, "reason": reason}, count) for (upstream, reason), count in sorted(core.lost.items())
    ]
    ready = core.gate.ready and not core.gate.stopping
    return [
        ("penstock_tap_exchanges_total", "counter", "Exchanges that have ended, by outcome.", outcomes),
        ("penstock_tap_running", "gauge", "Exchanges that run now.", [({}, len(core.running))]),
        ("penstock_tap_clients", "gauge", "Client connections.", [({}, len(core.clients))]),
        ("penstock_tap_ready", "gauge", "1 while it may get traffic.", [({}, int(ready))]),
        ("penstock_tap_stopping", "gauge", "1 while it drains.", [({}, int(core.gate.stopping))]),
        ("penstock_tap_upstream_errors_total", "counter", "Calls of an upstream that failed.", lost),
        ("penstock_tap_upstream_idle_connections", "gauge", "Connections that wait for a request.", pools),
        ("penstock_tap_events_total", "counter", "Events acknowledged.", [({}, publisher.delivered)]),
        ("penstock_tap_events_dropped_total", "counter", "Events dropped.", [({}, publisher.dropped)]),
        ("penstock_tap_queue_bytes", "gauge", "Bytes that wait for Kafka.", [({}, publisher.bytes)]),
        ("penstock_tap_unacknowledged_events", "gauge", "Events that wait.", [({}, publisher.outstanding)]),
        *journal_families(publisher.keeper),
        ("penstock_tap_orders", "gauge", "Standing orders.", [({}, len(core.orders))]),
        ("penstock_tap_orders_rejected_total", "counter", "Wrong orders.", [({}, control.rejected)]),
        ("penstock_tap_control_silent_seconds", "gauge", "Since Kafka last answered.", [({}, control.silent_s)]),
        ("penstock_tap_reloads_total", "counter", "Reloads that were taken.", [({}, reload.done)]),
        ("penstock_tap_reloads_failed_total", "counter", "Reloads that were not.", [({}, reload.failed)]),
        ("penstock_tap_reload_failed", "gauge", "1 while a file is wrong.", [({}, int(bool(reload.stale)))]),
    ]
