"""Migrations are applied once, in order, and never after they were altered."""

import threading

import pytest

from penstock.schemas.errors import UsageError
from penstock.schemas.settings import Settings
from penstock.trail.migrate import Migration, migrate, migrations, unapplied

from .deployment import Deployment

FIRST = Migration(1, "0001_one", "CREATE TABLE a\n(x UInt8)\n;\n-- a word\nCREATE TABLE b (y String)\n;\n")
SECOND = Migration(2, "0002_two", "SELECT ';'\n;\n\n;\n")


def test_statements_are_cut_at_lines_that_hold_a_semicolon_alone() -> None:
    assert FIRST.statements == ["CREATE TABLE a\n(x UInt8)", "-- a word\nCREATE TABLE b (y String)"]
    assert SECOND.statements == ["SELECT ';'"]


def test_the_shipped_migrations_are_numbered_without_holes() -> None:
    found = migrations()
    assert [migration.version for migration in found] == list(range(1, len(found) + 1))
    assert all(migration.statements for migration in found)


def test_only_what_is_new_is_applied() -> None:
    assert unapplied([FIRST, SECOND], {}) == [FIRST, SECOND]
    assert unapplied([FIRST, SECOND], {1: (FIRST.name, FIRST.sha256)}) == [SECOND]


def test_an_altered_migration_and_a_newer_store_are_refused() -> None:
    with pytest.raises(UsageError, match="0001_one was altered"):
        unapplied([FIRST], {1: (FIRST.name, SECOND.sha256)})
    with pytest.raises(UsageError, match="0002_two, which this version does not know"):
        unapplied([FIRST], {2: (SECOND.name, SECOND.sha256)})


@pytest.mark.services
def test_a_store_is_migrated_once_and_a_run_that_died_is_continued(trail_services: Settings) -> None:
    assert migrate(trail_services) == []
    deployment = Deployment(trail_services.base, trail_services)
    deployment.alter("TRUNCATE TABLE penstock.migrations", "DROP TABLE penstock.kills")
    results: list[list[str]] = []
    both = [threading.Thread(target=lambda: results.append(migrate(trail_services))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(results) == 2, "both ended without an error"
    assert migrate(trail_services) == []
    known = [(migration.version, migration.name) for migration in migrations()]
    assert deployment.ask("SELECT version, name FROM penstock.migrations FINAL ORDER BY version") == known
    assert deployment.ask("SELECT count() FROM penstock.kills") == [(0,)]
