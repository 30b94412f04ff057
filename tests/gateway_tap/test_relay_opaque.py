"""OpenAI's SDK through the tap: what is passed on unread, with its model, its key, and the usage it reports."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import openai
import pytest

from penstock.schemas.keys import key_hash, unknown_key_id

KEY = "sk-test-0123456789"
SOUND = bytes(range(256)) * 300
PICTURE = {"created": 1, "data": [{"b64_json": "aGk="}], "usage": {"input_tokens": 5, "output_tokens": 272}}
DRAWN = {"type": "image_generation.completed", "b64_json": "aGk=", "created_at": 1, "usage": PICTURE["usage"]}
PARTIAL = {"type": "image_generation.partial_image", "b64_json": "aGk=", "created_at": 1, "partial_image_index": 0}
HEARD = {"text": "hello", "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 3, "total_tokens": 17}}
TOLD = {"type": "transcript.text.done", **HEARD}
FILE = {"id": "f", "object": "file", "bytes": 1, "created_at": 1, "filename": "f", "purpose": "batch", "status": "x"}
BATCH = {"id": "b", "object": "batch", "status": "x", "usage": {"input_tokens": 9, "output_tokens": 9}}
JSON, SSE = "application/json", "text/event-stream"


@dataclass(frozen=True)
class Case:
    """How the SDK asks; what the provider answers; the model and the usage objects that the trail is to name."""

    ask: Callable[[openai.AsyncOpenAI], Awaitable[Any]]
    answer: Any
    model: str = ""
    usage: int = 0
    kind: str = JSON

    @property
    def body(self) -> bytes:
        if self.kind == SSE:
            return b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in self.answer)
        return self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()


async def drained(stream: Awaitable[Any]) -> list[Any]:
    return [event async for event in await stream]


WAV = ("a.wav", SOUND, "audio/wav")
PNG = ("a.png", b"\x89PNG" + SOUND, "image/png")
CASES = {
    "images-generate": Case(
        lambda c: c.images.generate(model="gpt-image-1", prompt="a cat"), PICTURE, "gpt-image-1", usage=1
    ),
    "images-generate-stream": Case(
        lambda c: drained(c.images.generate(model="gpt-image-1", prompt="a cat", stream=True)),
        [PARTIAL, DRAWN],
        "gpt-image-1",
        usage=1,
        kind=SSE,
    ),
    "images-edit": Case(
        lambda c: c.images.edit(model="gpt-image-1", prompt="a cat", image=PNG), PICTURE, "gpt-image-1", usage=1
    ),
    "audio-speech": Case(
        lambda c: c.audio.speech.create(model="tts-1", voice="alloy", input="hi"), SOUND, "tts-1", kind="audio/mpeg"
    ),
    "audio-transcribe": Case(
        lambda c: c.audio.transcriptions.create(model="gpt-4o-transcribe", file=WAV),
        HEARD,
        "gpt-4o-transcribe",
        usage=1,
    ),
    "audio-transcribe-stream": Case(
        lambda c: drained(c.audio.transcriptions.create(model="gpt-4o-transcribe", file=WAV, stream=True)),
        [{"type": "transcript.text.delta", "delta": "hello"}, TOLD],
        "gpt-4o-transcribe",
        usage=1,
        kind=SSE,
    ),
    "audio-translate-verbose": Case(
        lambda c: c.audio.translations.create(model="whisper-1", file=WAV, response_format="verbose_json"),
        {"text": "hello", "language": "en", "duration": 1.5, "segments": []},
        "whisper-1",
    ),
    "moderations": Case(
        lambda c: c.moderations.create(model="omni-moderation-latest", input="x"),
        {"id": "m", "model": "omni-moderation-latest", "results": []},
        "omni-moderation-latest",
    ),
    "files-upload": Case(lambda c: c.files.create(file=("f.jsonl", SOUND), purpose="batch"), FILE),
    "files-content": Case(lambda c: c.files.content("f"), SOUND, kind="application/octet-stream"),
    "batches-create": Case(
        lambda c: c.batches.create(input_file_id="f", endpoint="/v1/responses", completion_window="24h"), BATCH
    ),
    "batches-retrieve": Case(lambda c: c.batches.retrieve("b"), BATCH),
    "models-list": Case(lambda c: c.models.list(), {"object": "list", "data": []}),
    "fine-tuning-create": Case(
        lambda c: c.fine_tuning.jobs.create(model="gpt-4o-mini", training_file="f"),
        {"id": "j", "object": "fine_tuning.job", "model": "gpt-4o-mini", "status": "queued"},
        "gpt-4o-mini",
    ),
}
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
each = pytest.mark.parametrize("name", CASES)
NAMED = pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.model])


class Provider:
    """Gives one answer, chunked; breaks off in its middle where it is told to."""

    def __init__(self, case: Case, *, status: bytes = b"200 OK", whole: bool = True) -> None:
        self.case, self.status, self.whole = case, status, whole

    async def __call__(self, call: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = self.case.body if self.whole else self.case.body[: len(self.case.body) // 2]
        head = b"HTTP/1.1 %b\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head % (self.status, self.case.kind.encode()))
        writer.write(b"%x\r\n%b\r\n" % (len(body), body))
        if not self.whole:
            raise ConnectionResetError
        writer.write(b"0\r\n\r\n")


async def begin(upstream: Any, tap: Any, name: str, **options: Any) -> tuple[Any, Any, openai.AsyncOpenAI]:
    source = await upstream(Provider(CASES[name], **options))
    gate = await tap(source.url, mode="enforce")
    return gate, source, openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key=KEY, max_retries=0)


def told(gate: Any, kind: str) -> bytes:
    return b"".join(event.body for event in gate.events()[1:] if event.kind == kind)


@each
async def test_it_passes_byte_for_byte_with_model_key_and_usage(upstream, tap, name):
    gate, source, client = await begin(upstream, tap, name)
    async with client:
        await CASES[name].ask(client)
    completion, head = await gate.completion(), gate.head()
    assert (completion.outcome, head.api, head.model) == ("completed", "opaque", CASES[name].model)
    assert head.identity.key_id == unknown_key_id(key_hash(KEY.encode(), gate.core.pepper))
    assert (told(gate, "prompt"), told(gate, "chunk")) == (source.calls[0].body, CASES[name].body)
    assert completion.client_sha256 == hashlib.sha256(CASES[name].body).hexdigest()
    assert len(completion.usage) == CASES[name].usage


@NAMED
async def test_a_block_of_its_model_refuses_it_before_the_upstream(upstream, tap, name):
    gate, source, client = await begin(upstream, tap, name)
    gate.order(action="block", scope=f"model:{CASES[name].model}")
    async with client:
        with pytest.raises(openai.RateLimitError, match="used up"):
            await CASES[name].ask(client)
    assert source.calls == []
    assert (await gate.completion()).outcome == "blocked"


@each
async def test_an_upstreams_error_passes(upstream, tap, name):
    gate, _, client = await begin(upstream, tap, name, status=b"400 Bad Request")
    async with client:
        with pytest.raises(openai.BadRequestError):
            await CASES[name].ask(client)
    assert ((await gate.completion()).outcome, told(gate, "chunk")) == ("upstream_error", CASES[name].body)


@each
async def test_an_upstream_that_breaks_off_is_no_clean_end(upstream, tap, name):
    gate, _, client = await begin(upstream, tap, name, whole=False)
    async with client:
        with pytest.raises(Exception, match=r"(?i)peer closed|incomplete|connection"):
            await CASES[name].ask(client)
    assert (await gate.completion()).outcome == "upstream_error"
