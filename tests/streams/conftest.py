"""Fixtures of the record worker's tests: a broker and a store of their own, which they may kill."""

from collections.abc import Iterator

import pytest

from .running import Services, Start


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory, start_embedded: Start) -> Iterator[Services]:
    """Kafka and the store, migrated, without a worker."""
    with Services(tmp_path_factory.mktemp("record"), start_embedded) as found:
        yield found
