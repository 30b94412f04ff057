"""Edge: a sealer in office: it took the right to publish, holds the tree, numbers rows and signs checkpoints.

A checkpoint is signed over leaves that were read back from the store, goes to the topic, then to the file, then to the
store. Whatever fails in between, a new `Sealer` starts from the store and is held against the last of each.
"""

import asyncio
import time
from typing import Final

from penstock.schemas.errors import ServiceUnavailable, TrailError, UsageError
from penstock.schemas.secrets import read_secret
from penstock.schemas.settings import Settings
from penstock.schemas.topics import CHECKPOINTS

from .checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from .checkpoint_file import append_note, last_note
from .checkpoint_topic import CheckpointWriter, last_published
from .ledger import Ledger
from .merkle import CompactRange
from .note import verifier_of
from .seal_state import checkpoints_path, keep_public_keys, keep_tree, read_tree
from .sealing import Tree, extend, standing

SEALER_MAX: Final = 2**64 - 1
"""Whoever may write the store may claim this number: a sealer takes it too then, and of equals the last leaf stands."""


class Sealer:
    """One term of office: `open`, then `seal` and `sign` as often as wanted, then `close`.

    After ServiceUnavailable from any of them it is of no more use: close it and open another. TrailError means that
    the store contradicts what was signed, UsageError that another sealer took over.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._origin = settings.trail.origin
        secret = read_secret("signing_key", settings.secrets.signing_key, settings.state)
        self._seed = secret.current
        self.verifiers = [verifier_of(self._origin, seed) for seed in secret.all]
        self._file = checkpoints_path(settings)
        self._writer: CheckpointWriter | None = None
        self._ledger: Ledger | None = None
        self._log = Tree(0, CompactRange())
        self._confirmed = CompactRange()
        self.last_note: str | None = None

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self._log.tree.size

    async def open(self) -> None:
        """Takes office: fences the older sealer, then reads the tree and holds it against what was published last."""
        self._writer = CheckpointWriter(self._settings)
        await self._writer.start()
        published, filed = await last_published(self._settings), last_note(self._file)
        signed = [
            self._signed(where, note) for where, note in ((CHECKPOINTS, published), (self._file.name, filed)) if note
        ]
        self._ledger = await asyncio.to_thread(Ledger, self._settings, "writer")
        self._log = await asyncio.to_thread(self._load, signed)
        self._confirmed = self._log.tree.copy()
        keep_public_keys(self._settings, self.verifiers)
        if published is not None and _newest(signed) == CHECKPOINTS:
            append_note(self._file, published)
        self.last_note = published

    async def close(self) -> None:
        """Gives the connections back; what was signed stays."""
        if self._writer is not None:
            await self._writer.stop()
        if self._ledger is not None:
            await asyncio.to_thread(self._ledger.close)

    async def seal(self) -> bool:
        """Numbers the next rows that have no leaf yet, at most a page; returns whether there may be more."""
        ledger = self._opened()
        rows = await asyncio.to_thread(ledger.unsealed, self._log.places)
        if rows:
            leaves = await asyncio.to_thread(self._log.grow, rows)
            await asyncio.to_thread(ledger.insert_leaves, leaves)
        return len(rows) == ledger.page_rows

    async def sign(self) -> Checkpoint:
        """Signs the tree as the store gives it back, and returns when topic, file and store have the checkpoint."""
        ledger, writer = self._opened(), self._writer
        if writer is None:
            raise ServiceUnavailable("the sealer is not in office")
        await asyncio.to_thread(self._confirm)
        checkpoint = Checkpoint(self._origin, self._confirmed.size, self._confirmed.root(), int(time.time()))
        note = sign_checkpoint(checkpoint, self._seed)
        await writer.publish(note)
        self.last_note = note
        append_note(self._file, note)
        await asyncio.to_thread(ledger.insert_checkpoint, checkpoint, note)
        keep_tree(self._settings, self._confirmed)
        return checkpoint

    def _opened(self) -> Ledger:
        if self._ledger is None:
            raise ServiceUnavailable("the sealer is not in office")
        return self._ledger

    def _signed(self, where: str, note: str) -> tuple[str, Checkpoint]:
        try:
            return where, open_checkpoint(note, self._origin, self.verifiers)
        except TrailError as error:
            raise TrailError(
                f"the last checkpoint in {where} cannot be trusted: {error}. If the signing key was lost, choose a new "
                f"trail.origin; else find out who wrote it"
            ) from error

    def _load(self, signed: list[tuple[str, Checkpoint]]) -> Tree:
        ledger, kept = self._opened(), read_tree(self._settings)
        known = any(found.size == kept.size and found.root == kept.root() for _, found in signed)
        tree = kept if known and all(found.size >= kept.size for _, found in signed) else CompactRange()
        if ledger.leaf_count(tree.size) != tree.size:
            tree = CompactRange()
        begin, largest = tree.size, max((found.size for _, found in signed), default=0)
        extend(tree, standing(ledger.leaves(begin, ledger.leaf_end()), begin, largest), signed)
        sealer = min(max(time.time_ns() // 1000, ledger.newest_sealer() + 1), SEALER_MAX)
        return Tree(sealer, tree, ledger.places(tree.size))

    def _confirm(self) -> None:
        """Reads the leaves since the last checkpoint back."""
        ledger, mine = self._opened(), self._log.sealer
        begin = self._confirmed.size
        for leaf in standing(ledger.leaves(begin, self.size), begin, begin):
            if leaf.sealer > mine:
                raise UsageError(f"another sealer of {self._origin} took over: let one run, and stop the other")
            self._confirmed.append(leaf.hash)
        if self._confirmed.size != self.size or self._confirmed.root() != self._log.tree.root():
            raise ServiceUnavailable("the store does not give back the leaves that it took: they are read again")


def _newest(signed: list[tuple[str, Checkpoint]]) -> str:
    """Where the newest checkpoint was found; where several are the same, the file."""
    where, _ = max(signed, key=lambda found: (found[1].size, found[1].time_s or 0, found[0] != CHECKPOINTS))
    return where
