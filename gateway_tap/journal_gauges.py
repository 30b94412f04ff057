"""What `/metrics` says of the journal."""

from .gauges import Family
from .journal_keeper import JournalKeeper


def journal_families(keeper: JournalKeeper | None) -> list[Family]:
    """The families of the tap's journal; none where it has none."""
    if keeper is None:
        return []
    journal, folder = keeper.journal, keeper.folder
    return [
        ("penstock_tap_journal_bytes", "gauge", "Bytes kept in the journal.", [({}, journal.kept_bytes)]),
        ("penstock_tap_journal_max_bytes", "gauge", "How many it may keep.", [({}, folder.max_bytes)]),
        ("penstock_tap_journal_unsynced_bytes", "gauge", "Bytes not known to be on the disk.", [({}, keeper.unsynced)]),
        ("penstock_tap_journal_full", "gauge", "1 while it has no room for events.", [({}, int(journal.full))]),
        (
            "penstock_tap_journal_pressed",
            "gauge",
            "1 while what room it has is kept for exchanges that run.",
            [({}, int(journal.pressed))],
        ),
        (
            "penstock_tap_journal_quarantined_total",
            "counter",
            "Damaged places found at start.",
            [({}, folder.quarantined)],
        ),
        (
            "penstock_tap_journal_forgotten_total",
            "counter",
            "Running exchanges that could not be read back.",
            [({}, journal.forgotten)],
        ),
        ("penstock_tap_journal_replayed_events", "gauge", "Events found at start.", [({}, keeper.replayed)]),
    ]
