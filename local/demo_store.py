"""Edge: reads from ClickHouse what the demo holds against the endpoint's record, as any reader could."""

import time
from typing import Any, Final

from penstock.schemas.errors import ServiceUnavailable

from .demo_checks import Stored, StoredKill

_BYTES: Final = {"String": "bytes", "FixedString": "bytes"}
_FACTS: Final = """
SELECT exchange_id, team, model, api, outcome, status, input_tokens, output_tokens, cost_usd,
       toUnixTimestamp64Micro(started_at), toUnixTimestamp64Micro(ended_at)
FROM penstock.exchange_facts FINAL ORDER BY started_at
"""
_CHUNKS: Final = """
SELECT exchange_id, origin, withheld, body FROM penstock.content FINAL
WHERE topic = 'penstock.traffic.v1' AND kind = 'chunk' AND NOT duplicate ORDER BY exchange_id, seq
"""
_KILLS: Final = """
SELECT exchange_id, scope, overshoot_tokens, cut_ms, toUnixTimestamp64Micro(applied_at)
FROM penstock.kills FINAL ORDER BY applied_at
"""
_SETTLED: Final = """
SELECT (SELECT countDistinct(exchange_id) FROM penstock.exchange_facts),
       (SELECT countDistinct(exchange_id) FROM penstock.events_log
        WHERE topic = 'penstock.traffic.v1' AND kind = 'completion'),
       (SELECT count() FROM penstock.events_log FINAL),
       (SELECT count() FROM penstock.leaves FINAL),
       (SELECT max(size) FROM penstock.checkpoints)
"""


def wait_until_sealed(client: Any, exchanges: int, within_s: float = 30.0) -> None:
    """Returns once all exchanges are settled and stored, and every stored event is under a checkpoint.

    Events may still trickle in after the last exchange, so the figures must hold still for half a second.
    ServiceUnavailable says what is missing after `within_s`.
    """
    until, held = time.monotonic() + within_s, None
    while True:
        facts, ended, events, leaves, sealed = figures = client.query(_SETTLED).result_rows[0]
        done = facts >= exchanges and ended >= exchanges and events == leaves == sealed
        if done and figures == held:
            return
        held = figures
        if time.monotonic() > until:
            raise ServiceUnavailable(
                f"after {within_s:.0f} s {facts} of {exchanges} exchanges are settled, {ended} stored, "
                f"and {sealed} of {events} events sealed; see the logs in the demo's state folder"
            )
        time.sleep(0.5)


def read_stored(client: Any) -> dict[str, Stored]:
    """All exchanges with their rebuilt bodies, by id."""
    upstream, delivered, given = dict[str, bytes](), dict[str, bytes](), dict[str, bytes]()
    for name, origin, withheld, body in client.query(_CHUNKS, query_formats=_BYTES).result_rows:
        exchange_id = name.decode()
        if origin == b"upstream":
            upstream[exchange_id] = upstream.get(exchange_id, b"") + body
        if not withheld:
            given[exchange_id] = given.get(exchange_id, b"") + body
            if origin == b"upstream":
                delivered[exchange_id] = delivered.get(exchange_id, b"") + body
    return {
        row[0]: Stored(*row, *_bodies(row[0], upstream, delivered, given)) for row in client.query(_FACTS).result_rows
    }


def _bodies(exchange_id: str, *kinds: dict[str, bytes]) -> tuple[bytes, ...]:
    return tuple(kind.get(exchange_id, b"") for kind in kinds)


def read_kills(client: Any) -> list[StoredKill]:
    """All applied kills, in their order."""
    return [StoredKill(*row) for row in client.query(_KILLS).result_rows]
