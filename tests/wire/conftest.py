"""Recorded exchanges, as this folder's tests read them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from penstock.schemas.events import Api, Dialect
from penstock.wire.chunk import ChunkReader
from penstock.wire.request import UNCHARGED, api_of
from penstock.wire.sse import EventSplitter

APIS: tuple[Api, ...] = tuple(api for api in get_args(Api) if api not in UNCHARGED)
DIALECTS: dict[str, Dialect] = {
    "anthropic": "anthropic",
    "google": "gemini",
    "google-vertex": "gemini",
    "bedrock": "bedrock",
    "cohere": "cohere",
    "ollama-cloud": "ollama",
}
"""How the recorded providers speak; all others speak OpenAI's protocol."""


@dataclass(frozen=True)
class Cassette:
    """One recorded exchange of an api that is read here."""

    record: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.record["id"])

    @property
    def api(self) -> Api:
        return api_of(self.dialect, "POST", self.record["path"])

    @property
    def dialect(self) -> Dialect:
        return DIALECTS.get(self.record["provider"], "openai")

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
    """Every recorded exchange whose path is one of `APIS`, but Responses (test_responses_reply has those); others are
    opaque, or free."""
    wanted = set(APIS) - {"openai.responses"}
    found = [cassette for record in _records(shared) if (cassette := Cassette(record)).api in wanted]
    assert len(found) > 330
    return found


@pytest.fixture(scope="session")
def token_cases(shared: Path) -> list[dict[str, Any]]:
    """Requests and texts with the token counts that others published."""
    return [json.loads(line) for line in (shared / "data" / "tokens" / "cases.jsonl").read_text().splitlines()]
