"""Edge: brings the tables up to date with the numbered statements in `schemas/sql`.

A file `NNNN_name.sql` holds statements separated by a line with a semicolon alone. Each is applied once and in order;
`penstock.migrations` keeps its digest, so that a file changed after it was applied is refused.
"""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from clickhouse_connect.driver.exceptions import DatabaseError

from penstock.schemas.errors import UsageError
from penstock.schemas.settings import Settings

from .store import connect, store_errors

_ALREADY_THERE: Final = {15, 44, 57, 387, 609}
"""ClickHouse's codes for a column (twice), a table or view, a dictionary and a function that exist already."""

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS penstock.migrations
(version UInt32, name String, sha256 FixedString(64), applied_at DateTime64(6, 'UTC') DEFAULT now64(6))
ENGINE = ReplacingMergeTree ORDER BY version
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `schemas/sql`."""

    version: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """The statements, without those that are empty."""
        parts = "\n".join(line.rstrip() for line in self.text.splitlines()).split("\n;")
        return [part.strip() for part in parts if part.strip()]


def migrations() -> list[Migration]:
    """All migrations of this version of Penstock, in order."""
    found = [entry for entry in files("penstock.schemas").joinpath("sql").iterdir() if entry.name.endswith(".sql")]
    return sorted(
        (Migration(int(entry.name[:4]), entry.name.removesuffix(".sql"), entry.read_text("utf-8")) for entry in found),
        key=lambda migration: migration.version,
    )


def migrate(settings: Settings) -> list[str]:
    """Applies what the store lacks, and returns the names of what was applied.

    May be called again at any time: a run that died in the middle is continued, and of two runs at once each leaves
    the same tables. UsageError where an applied file was altered since, or where the store is newer than this version;
    ServiceUnavailable where the store does not answer.
    """
    client = connect(settings, "admin")
    try:
        with store_errors():
            client.command("CREATE DATABASE IF NOT EXISTS penstock ENGINE = Atomic")
            client.command(_TABLE)
            rows = client.query("SELECT version, name, sha256 FROM penstock.migrations FINAL").result_rows
        wanted = unapplied(migrations(), {version: (name, bytes(digest).decode()) for version, name, digest in rows})
        for migration in wanted:
            with store_errors():
                _apply(client, migration)
    finally:
        client.close()
    return [migration.name for migration in wanted]


def unapplied(known: list[Migration], applied: dict[int, tuple[str, str]]) -> list[Migration]:
    """What of `known` is not in `applied` (version → name and digest). UsageError as `migrate` says."""
    newer = sorted(set(applied) - {migration.version for migration in known})
    if newer:
        raise UsageError(f"the store has migration {applied[newer[0]][0]}, which this version does not know: update it")
    for migration in known:
        if migration.version in applied and applied[migration.version][1] != migration.sha256:
            raise UsageError(
                f"migration {migration.name} was altered after it was applied to this store: restore the file, and "
                f"write what should change into a new one"
            )
    return [migration for migration in known if migration.version not in applied]


def _apply(client: Any, migration: Migration) -> None:
    for statement in migration.statements:
        try:
            client.command(statement)
        except DatabaseError as error:
            if error.code not in _ALREADY_THERE:
                raise
    client.insert(
        "penstock.migrations",
        [[migration.version, migration.name, migration.sha256.encode()]],
        column_names=["version", "name", "sha256"],
    )
