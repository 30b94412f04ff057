"""The audit trail: what `record` wrote gets a number, a place in a Merkle log, and a signature; anyone can check it.

Words: *leaf* (an event's row, as bytes), *root* (hash over all leaves up to a size), *checkpoint* (a signed root),
*proof* (the few hashes that lead from leaf to root), *seal* (give numbers and sign), *fault* (what contradicts).

Rows of ClickHouse and signed checkpoints enter; leaves, checkpoints and reports leave. No event's row is ever altered.
"""
