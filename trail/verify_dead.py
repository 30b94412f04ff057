"""Edge: finds dead letters that no act explains. A dead letter has no content, so it could hide an event.

Record puts the bytes of a dead letter on their topic, and an act on the audit topic, before it writes the row. So the
act is in the trail once all that Kafka holds of the audit topic is.
"""

from collections.abc import Sequence

from penstock.schemas.topics import AUDIT

from .leaf import text
from .ledger import Ledger, literal
from .report import FAULTS_KEPT, Report
from .verify_added import Ends


def unexplained(ledger: Ledger) -> list[bytes]:
    """The ids of dead letters without an act, as many as are named."""
    found = ledger.query(
        "SELECT event_id FROM penstock.events_log FINAL WHERE kind = 'dead_letter' AND concat(event_id, '/audit') "
        f"NOT IN (SELECT event_id FROM penstock.events_log WHERE topic = '{AUDIT}' AND startsWith(event_id, 'dead/')) "
        f"ORDER BY topic, partition, offset, frame_index LIMIT {FAULTS_KEPT + 1}"
    )
    return [event_id for (event_id,) in found]


def check_dead(ledger: Ledger, ids: Sequence[bytes], ends: Ends | None, report: Report) -> None:
    """Names dead letters that were without an act before `ends` were read, and still are. Where record has acts yet to
    store, or Kafka is away, they are a note."""
    if not ids:
        return
    wanted = ", ".join(literal(event_id + b"/audit") for event_id in ids)
    known = {act for (act,) in ledger.query(f"SELECT event_id FROM penstock.events_log WHERE event_id IN ({wanted})")}
    left = [event_id for event_id in ids if event_id + b"/audit" not in known]
    if ends is None or any(name.startswith(f"{AUDIT}/") for name in report.lag):
        if left:
            report.note(f"{len(left)} dead letters have no act in the trail yet")
        return
    for event_id in left:
        where = text(event_id).removeprefix("dead/")
        report.fault("dead_letter", where, "no act in the trail says why it is a dead letter: it may hide an event")
