"""Recorded exchanges, as this folder's tests read them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from penstock.schemas.events import Api
from penstock.wire.chunk import ChunkReader
from penstock.wire.sse import EventSplitter

APIS: tuple[Api, ...] = ("openai.chat", "openai.completions", "embeddings", "anthropic.messages")


@dataclass(frozen=True)
class Cassette:
    """One recorded exchange of an api that is read here."""

    record: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.record["id"])

    @property
    def api(self) -> Api:
        return self.record["api"]  # type: ignore[no-any-return]  # JSON, checked by `cassettes` below

    @property
    def body(self) -> bytes:
        return str(self.record["response_body"]).encode()

    @property
    def request(self) -> dict[str, Any]:
        return self.record["request_json"]  # type: ignore[no-any-return]  # JSON

    @property
    def is_stream(self) -> bool:
        return self.record["stream_format"] == "sse"

    def read(self) -> ChunkReader:
        """The reader after the whole reply."""
        reader = ChunkReader(self.api)
        if self.is_stream:
            splitter = EventSplitter()
            for event in [*splitter.feed(self.body), splitter.finish()]:
                reader.feed_event(event)
        else:
            reader.feed_body(self.body)
        return reader


def _records(shared: Path) -> Iterator[dict[str, Any]]:
    for file in sorted((shared / "data" / "cassettes").glob("*.jsonl")):
        yield from map(json.loads, file.read_text().splitlines())


@pytest.fixture(scope="session")
def cassettes(shared: Path) -> list[Cassette]:
    """Every recorded exchange whose api is one of `APIS` and whose path says so (others are opaque here)."""
    elsewhere = ("/v2/embed", "batchEmbedContents")
    found = [
        Cassette(record)
        for record in _records(shared)
        if record["api"] in APIS and not any(part in record["path"] for part in elsewhere)
    ]
    assert len(found) > 250
    return found


@pytest.fixture(scope="session")
def token_cases(shared: Path) -> list[dict[str, Any]]:
    """Requests and texts with the token counts that others published."""
    return [json.loads(line) for line in (shared / "data" / "tokens" / "cases.jsonl").read_text().splitlines()]
