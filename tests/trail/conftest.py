"""A deployment for each test of the trail: the session's Kafka and store, an empty trail, an origin of its own."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.schemas.settings import Settings
from penstock.trail.migrate import migrate
from penstock.trail.sealer import Sealer
from penstock.trail.topics import ensure_topics

from .deployment import Deployment


@pytest.fixture(scope="session")
def trail_services(kafka_bootstrap: str, store_settings: Settings) -> Settings:
    """The session's services, with topics and tables."""
    asyncio.run(ensure_topics(store_settings))
    migrate(store_settings)
    return store_settings


@pytest.fixture
def deployment(trail_services: Settings, tmp_path: Path) -> Iterator[Deployment]:
    """An empty trail."""
    made = Deployment.make(tmp_path, f"test.example/{tmp_path.name}")
    made.settings.run.mkdir(parents=True)
    for name in ("kafka", "clickhouse"):
        shutil.copy(trail_services.run / f"{name}.json", made.settings.run)
    made.empty()
    yield made
    made.close()


@pytest.fixture
async def sealed(deployment: Deployment) -> Deployment:
    """Two checkpoints, of 16 and of 36 leaves: an audit record, then exchanges in two partitions."""
    sealer = Sealer(deployment.settings)
    await sealer.open()
    for chunks, size in ((1, 16), (6, 36)):
        if size == 16:
            deployment.record(deployment.act(act="policy_changed"))
        deployment.exchange(partition=0)
        deployment.exchange(chunks=chunks, per_frame=3 if chunks > 1 else 9, partition=1)
        await sealer.seal()
        assert (await sealer.sign()).size == size
    await sealer.close()
    return deployment
