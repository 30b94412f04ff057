"""Edge: reads all leaves with their rows, and holds them against the signed roots."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from .check_leaves import LeafCheck
from .ledger import Ledger
from .report import Report
from .sealing import Leaf, Partition, Place
from .signed import SignedRoots

Progress = Callable[[str, int, int], None]
"""Called now and then with what is being read, how much of it has been, and about how much there is."""


@dataclass(slots=True)
class Protected:
    """What the largest checkpoint covers: the last place of each partition, and how many of its leaves have a row."""

    places: dict[Partition, Place] = field(default_factory=dict)
    rows: dict[Partition, int] = field(default_factory=dict)

    def add(self, leaf: Leaf, *, has_row: bool) -> None:
        partition, place = (leaf.topic, leaf.partition), (leaf.offset, leaf.frame_index)
        self.places[partition] = max(place, self.places.get(partition, place))
        self.rows[partition] = self.rows.get(partition, 0) + has_row


def verify_leaves(ledger: Ledger, signed: SignedRoots, report: Report, progress: Progress) -> Protected:
    """Checks every leaf, those beyond the largest checkpoint against their rows alone. Reads page by page."""
    check = LeafCheck(signed.in_order(report), report)
    end, largest = ledger.leaf_end(), signed.largest
    leaves, protected, newest, done = ledger.leaves(0, end), Protected(), 0, 0
    while page := list(islice(leaves, ledger.page_rows)):
        rows = ledger.rows_at({leaf.position for leaf in page})
        for leaf in page:
            if leaf.number >= largest and leaf.sealer < newest:
                break  # left by a sealer that had been replaced: these numbers are given again
            newest = max(newest, leaf.sealer)
            row = rows.get(leaf.position)
            check.feed(leaf, row)
            if leaf.number < largest:
                protected.add(leaf, has_row=row is not None)
        else:
            done += len(page)
            progress("leaves", done, end)
            continue
        break
    check.finish()
    report.protected = min(largest, report.leaves)
    return protected
