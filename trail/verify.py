"""Edge: verifies the whole trail: signatures, leaves, rows, content, and how far Kafka is ahead.

What a fault-free report proves, and what it does not, is in docs/trail.md.
"""

from pathlib import Path

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from penstock.schemas.addresses import kafka_client
from penstock.schemas.errors import ServiceUnavailable, StoreDamaged, TrailError, UsageError
from penstock.schemas.settings import Settings
from penstock.schemas.topics import CHECKPOINTS, RECORDED

from .checkpoint import open_checkpoint
from .checkpoint_file import read_notes
from .checkpoint_topic import all_published
from .ledger import Ledger
from .note import Verifier, read_verifier
from .report import Report
from .seal_state import checkpoints_path, public_key_path
from .signed import SignedRoots
from .verify_added import Ends, check_ahead, content_ahead
from .verify_dead import check_dead, unexplained
from .verify_leaves import Progress, verify_leaves
from .verify_rows import RowVerifier


async def verify(settings: Settings, checkpoints: Path | None, key: str | None, progress: Progress) -> Report:
    """Checks the whole trail, and returns what was found.

    `checkpoints` is an externally held copy of the checkpoints (None: the sealer's own file), `key` the public key or
    a file of them (None: the sealer's own file). Kafka may be away; ServiceUnavailable where the store is.
    """
    report = Report(settings.trail.origin)
    signed = SignedRoots()
    verifiers = public_keys(settings, key)
    report.keys = [str(verifier) for verifier in verifiers]
    path = checkpoints or checkpoints_path(settings)
    _file(path, settings, verifiers, signed, report, required=checkpoints is not None)
    await _topic(settings, verifiers, signed, report)
    report.checkpoints, report.last_checkpoint_s = signed.count, signed.last_time_s
    ledger = Ledger(settings, "reader")
    try:
        protected = verify_leaves(ledger, signed, report, progress)
        places = RowVerifier(ledger, protected, report, progress).run()
        ahead, dead = content_ahead(ledger, places), unexplained(ledger)
        if not signed.count and report.rows:
            report.fault("checkpoint", path.name, f"no checkpoint was found, so nothing protects {report.rows} rows")
        ends = await _lag(settings, ledger, report)
        check_ahead(ahead, ends, report)
        check_dead(ledger, dead, ends, report)
    except StoreDamaged as error:
        report.fault("unreadable", error.where, f"{error}. What comes after it was not checked")
    finally:
        ledger.close()
    return report


def public_keys(settings: Settings, key: str | None) -> list[Verifier]:
    """The keys that may have signed: from `key` (a key's text, or a file with one a line), else the sealer's file."""
    if key is not None and "+" in key and not Path(key).exists():
        return [read_verifier(key)]
    path = Path(key) if key is not None else public_key_path(settings)
    try:
        lines = [line for line in path.read_text().splitlines() if line.strip()]
    except OSError as error:
        raise UsageError(
            f"no public key in {path} ({error.strerror}): `penstock seal` writes it, or give --key"
        ) from error
    return [read_verifier(line) for line in lines]


def _file(
    path: Path, settings: Settings, verifiers: list[Verifier], signed: SignedRoots, report: Report, *, required: bool
) -> None:
    if not path.exists():
        if required:
            raise UsageError(f"{path} is not there: give the file of checkpoints that you kept")
        report.note(f"{path.name} is not there: only checkpoints on the topic were checked")
        return
    for number, note in enumerate(read_notes(path), 1):
        _checkpoint(path.name, number, note, settings, verifiers, signed, report)


async def _topic(settings: Settings, verifiers: list[Verifier], signed: SignedRoots, report: Report) -> None:
    number = 0
    try:
        async for note in all_published(settings):
            number += 1
            _checkpoint(CHECKPOINTS, number, note, settings, verifiers, signed, report)
    except ServiceUnavailable as error:
        report.note(f"checkpoints on the topic were not checked, or not all: {error}")


def _checkpoint(
    where: str,
    number: int,
    note: str,
    settings: Settings,
    verifiers: list[Verifier],
    signed: SignedRoots,
    report: Report,
) -> None:
    try:
        signed.add(where, number, open_checkpoint(note, settings.trail.origin, verifiers), report)
    except TrailError as error:
        report.fault("checkpoint", f"{where} entry {number}", str(error))


async def _lag(settings: Settings, ledger: Ledger, report: Report) -> Ends | None:
    """How many records Kafka holds that have no row yet, per topic; no fault, since record may be at work.
    Returns where the topics end; None where Kafka does not say."""
    recorded = {
        (topic.decode("utf-8", "replace"), partition): last
        for topic, partition, last in ledger.query(
            "SELECT topic, partition, max(offset) FROM penstock.events_log GROUP BY topic, partition"
        )
    }
    try:
        ends = await log_ends(settings, RECORDED)
    except ServiceUnavailable as error:
        report.note(f"how far Kafka is ahead was not checked: {error}")
        return None
    for (topic, partition), end in sorted(ends.items()):
        behind = end - (recorded.get((topic, partition), -1) + 1)
        if behind > 0:
            report.lag[f"{topic}/{partition}"] = behind
    return ends


async def log_ends(settings: Settings, topics: tuple[str, ...]) -> dict[tuple[str, int], int]:
    """The next offset of every partition of `topics`. ServiceUnavailable where Kafka does not answer."""
    consumer = AIOKafkaConsumer(*topics, enable_auto_commit=False, **kafka_client(settings))
    try:
        await consumer.start()
        places = [
            TopicPartition(topic, number) for topic in topics for number in consumer.partitions_for_topic(topic) or ()
        ]
        ends = await consumer.end_offsets(places)
    except (KafkaError, OSError) as error:
        raise ServiceUnavailable(f"Kafka does not answer ({type(error).__name__})") from error
    finally:
        await consumer.stop()
    return {(place.topic, place.partition): int(end) for place, end in ends.items()}
