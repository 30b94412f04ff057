"""A journal over plain memory that remembers every state that its pages had, for tests of what survives."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from penstock.gateway_tap.journal import Journal
from penstock.gateway_tap.journal_record import HEAD_BYTES, RECORD_HEAD_BYTES, Damage, SegmentHead, scan, write_head
from penstock.gateway_tap.journal_recovery import Recovery
from penstock.gateway_tap.journal_segment import Segment
from penstock.schemas.frames import CHUNK, COMPLETION, PROMPT, EventWriter

STAMP, SALT = b"2026-11-24T05:45:00.000001Z", b"AAAAAAAAAAAAAAAAAAAAAA=="
KINDS = {"prompt": (PROMPT, b"client"), "chunk": (CHUNK, b"upstream"), "completion": (COMPLETION, b"tap")}
PAGE = 256


class Cut(Exception):
    """The process ends here."""


class Memory(bytearray):
    """Mapped memory: `before` is asked ahead of each write, `states` keeps what it held after each one."""

    def __init__(self, size: int, before: Callable[[], None]) -> None:
        super().__init__(size)
        self.before = before
        self.states: list[bytes] = [bytes(size)]
        self.synced = 0

    def __setitem__(self, key: Any, value: Any) -> None:
        self.before()
        super().__setitem__(key, value)
        self.states.append(bytes(self))


@dataclass
class Disk:
    """The supply of a journal over `Memory`. `left` writes may happen before a Cut."""

    size: int = 4096
    most: int = 1000
    left: int = 1 << 60
    kept: dict[int, tuple[Segment, Memory]] = field(default_factory=dict)
    following: int = 1
    writer: int = 1

    def take(self, epoch: int, size: int, *, control: bool) -> Segment | None:
        if HEAD_BYTES + RECORD_HEAD_BYTES + size > self.size or (not control and len(self.kept) >= self.most):
            return None
        number, self.following = self.following, self.following + 1
        head = SegmentHead(
            tap="t",
            epoch=epoch,
            writer=self.writer,
            number=number,
            size=self.size,
            partitions=3,
            boot="b",
            mark=0x5EED0000 + number,
            start=77 * number,
        )
        memory = Memory(self.size, self.before)
        memory[:HEAD_BYTES] = write_head(head)
        memory.states = [bytes(memory)]  # a segment's head is written before it is given a name
        segment = Segment(head, memory)
        self.kept[number] = (segment, memory)
        return segment

    @property
    def pressed(self) -> bool:
        return not self.has_room

    @property
    def has_room(self) -> bool:
        return len(self.kept) < self.most

    def before(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cut

    def read(self, segment: Segment, start: int, end: int) -> bytes:
        return bytes(self.kept[segment.head.number][1][start:end])

    def retire(self, segment: Segment) -> None:
        segment.buffer = None

    def drop(self, segment: Segment) -> None:
        del self.kept[segment.head.number]

    def sync(self) -> None:
        for _, memory in self.kept.values():
            memory.synced = len(memory.states) - 1

    def contents(self) -> list[tuple[SegmentHead, bytes]]:
        return [(segment.head, bytes(memory)) for segment, memory in self.kept.values()]

    def contents_after_power_loss(self, choose: Callable[[int], int]) -> list[tuple[SegmentHead, bytes]]:
        """Each page as it was at any moment since the last synchronisation: `choose(n)` gives one of n."""
        found = []
        for segment, memory in self.kept.values():
            states = memory.states[memory.synced :]
            pages = [states[choose(len(states))][at : at + PAGE] for at in range(0, self.size, PAGE)]
            found.append((segment.head, b"".join(pages)))
        return found


def recover(contents: Iterable[tuple[SegmentHead, bytes]]) -> Recovery:
    """What the next process learns."""
    recovery, found = Recovery(), list(contents)
    last = {head.writer: head.number for head, _ in found}
    for head, content in found:
        segment = Segment(head)
        for record in scan(memoryview(content), head, last=last[head.writer] == head.number):
            recovery.feed(segment, record)
    return recovery


def bodies(recovery: Recovery, contents: Iterable[tuple[SegmentHead, bytes]], partition: int) -> list[bytes]:
    """The events that would be sent to a partition, in order."""
    disk = Disk()
    for head, content in contents:
        memory = Memory(len(content), lambda: None)
        memory[:] = content
        disk.kept[head.number] = (Segment(head), memory)
    journal = Journal(disk)
    for segment, _ in disk.kept.values():
        journal.adopt(segment)
    joined = [body for _, frame in recovery.unacknowledged(partition) for body in journal.read(frame.positions) if body]
    return [event for body in joined for event in split(body)]


def split(body: bytes) -> list[bytes]:
    return [part if part.endswith(b"}") else part + b"}" for part in body.split(b"},") if part]


def event(exchange_id: str, seq: int, kind: str = "chunk", body: bytes = b"x") -> bytes:
    name, origin = KINDS[kind]
    return EventWriter(exchange_id, "/tap/t", "key:k").write(name, seq, STAMP, SALT, body, origin=origin)


def damaged(recovery: Recovery) -> list[Damage]:
    return [damage for _, damage in recovery.damages]
