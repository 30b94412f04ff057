"""Edge: a local model endpoint that speaks OpenAI's, Anthropic's and Google's wire formats, and keeps its own record.

It answers chat completions, completions, embeddings, messages, generateContent and the list of models; text, length and
ids follow from the request alone, usage figures are true to the text. What a test may ask beside: `endpoint_asks`.
In-process: `async with Endpoint(record) as endpoint: endpoint.url`. Alone:
`python -m penstock.local.endpoint --listen HOST:PORT`.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Annotated, Final, Self

import typer
import uvloop

from penstock.wire.tokens import count_text, encoding_for

from . import endpoint_anthropic, endpoint_gemini, endpoint_openai
from .endpoint_http import Answer, Headers, HungUp, Request, serve
from .endpoint_plan import BadRequest, Plan, dialect_of, make_plan
from .endpoint_record import RecordFile, Sent

MODELS: Final = (
    "gpt-4.1-mini",
    "gpt-4o",
    "gpt-4o-mini",
    "text-embedding-3-small",
    "claude-sonnet-4-6",
    "claude-haiku-4-5",
)
CREDENTIALS: Final = ("authorization", "x-api-key", "api-key", "x-goog-api-key")


class Endpoint:
    """The endpoint, listening while the block runs. `rate_per_s` paces stream events (0: as fast as they go)."""

    def __init__(self, record: Path, *, listen: str = "127.0.0.1:0", rate_per_s: int = 0) -> None:
        self._path, self._listen, self._rate_per_s = record, listen, rate_per_s
        self._stack = AsyncExitStack()
        self._count = 0
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._record = RecordFile(self._path)
        self._stack.callback(self._record.close)
        self.url = await self._stack.enter_async_context(serve(self._handle, self._listen))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def idle(self) -> None:
        """Returns once no answer is under way: then the record holds all that was sent."""
        await self._idle.wait()

    async def _handle(self, request: Request, answer: Answer) -> None:
        self._count += 1
        sent = _begin(request, f"req_{self._count:06d}")
        self._busy += 1
        self._idle.clear()
        self._record.asked(sent)
        try:
            await self._answer(request, _Writer(answer, sent))
        except HungUp:
            sent.end = "hung_up"
        finally:
            sent.ended_at_us = time.time_ns() // 1000
            self._record.sent(sent)
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def _answer(self, request: Request, writer: "_Writer") -> None:
        if request.method == "GET" and request.target.partition("?")[0].endswith("/models"):
            words = endpoint_anthropic if writer.sent.dialect == "anthropic" else endpoint_openai
            return await writer.whole(200, words.models(MODELS))
        try:
            plan = make_plan(request)
        except BadRequest as error:
            return await writer.error(error.status, str(error))
        writer.plan(plan)
        if plan.asks.error is not None:
            return await writer.error(plan.asks.error, "this request asked for an error")
        events, body = _words(plan)
        if plan.stream:
            return await writer.stream(events, plan, self._rate_per_s)
        return await writer.body(body(plan), plan)


class _Writer:
    """Sends one answer and keeps its record."""

    def __init__(self, answer: Answer, sent: Sent) -> None:
        self._answer, self.sent = answer, sent
        self._began_ns = time.monotonic_ns()

    def plan(self, plan: Plan) -> None:
        self.sent.model, self.sent.stream = plan.model, plan.stream

    async def error(self, status: int, message: str) -> None:
        if self.sent.dialect == "anthropic":
            return await self.whole(status, endpoint_anthropic.error_body(status, message, self.sent.request_id))
        words = endpoint_gemini if self.sent.dialect == "gemini" else endpoint_openai
        return await self.whole(status, words.error_body(status, message))

    async def body(self, body: bytes, plan: Plan) -> None:
        self.sent.input_tokens, self.sent.output_tokens = plan.input_tokens, plan.output_tokens
        self.sent.texts, self.sent.usage = [reply.text for reply in plan.replies], not plan.asks.mute
        if plan.asks.hang is not None:
            await self._answer.gone.wait()
            raise HungUp("the client gave up on a hanging answer")
        await self.whole(200, body, cut_at=len(body) // 2 if plan.asks.cut is not None else None)

    async def whole(self, status: int, body: bytes, *, cut_at: int | None = None) -> None:
        await self._start(status, "application/json", len(body))
        await self._send(body[:cut_at])
        if cut_at is not None:
            self._cut()
        else:
            await self._answer.finish()

    async def stream(self, events: Iterable[tuple[bytes, int, str]], plan: Plan, rate_per_s: int) -> None:
        rate_per_s = rate_per_s if plan.asks.rate is None else plan.asks.rate
        await self._start(200, "application/json" if plan.array else "text/event-stream; charset=utf-8", None)
        method = encoding_for(plan.model, plan.api)
        self.sent.input_tokens = plan.input_tokens
        self.sent.usage = (plan.include_usage or plan.dialect != "openai") and not plan.asks.mute
        began, texts = time.monotonic(), [list[str]() for _ in plan.replies]
        try:
            for number, (event, index, text) in enumerate(events):
                if number == plan.asks.cut:
                    return self._cut()
                if number == plan.asks.hang:
                    await self._answer.gone.wait()
                if rate_per_s and (wait_s := began + number / rate_per_s - time.monotonic()) > 0:
                    await asyncio.sleep(wait_s)
                await self._send(event)
                texts[index].append(text)
            await self._answer.finish()
        finally:
            self.sent.texts = ["".join(parts) for parts in texts]
            self.sent.output_tokens = sum(count_text(method, text) for text in self.sent.texts if text)

    async def _start(self, status: int, content_type: str, length: int | None) -> None:
        name = "request-id" if self.sent.dialect == "anthropic" else "x-request-id"
        headers: Headers = [("content-type", content_type), (name, self.sent.request_id)]
        if status == 429:
            headers.append(("retry-after", "1"))
        self.sent.status = status
        await self._answer.start(status, headers, length=length)

    async def _send(self, data: bytes) -> None:
        await self._answer.send(data)
        self.sent.writes.append(((time.monotonic_ns() - self._began_ns) // 1000, len(data)))
        self.sent.body += data

    def _cut(self) -> None:
        self.sent.end = "cut"
        self._answer.abort()


def _words(plan: Plan) -> tuple[Iterable[tuple[bytes, int, str]], Callable[[Plan], bytes]]:
    """The stream and the body of an answer, in the words of its API. (The stream is made as it is read.)"""
    maker = plan.api.partition(".")[0]
    words = {"anthropic": endpoint_anthropic, "gemini": endpoint_gemini}.get(maker, endpoint_openai)
    return words.events(plan), words.body


def _begin(request: Request, request_id: str) -> Sent:
    return Sent(
        request_id=request_id,
        method=request.method,
        target=request.target,
        dialect=dialect_of(request),
        model="",
        stream=False,
        request_bytes=len(request.body),
        request_sha256=hashlib.sha256(request.body).hexdigest(),
        credential=any(name in request.headers for name in CREDENTIALS),
        started_at_us=time.time_ns() // 1000,
    )


def main(
    listen: Annotated[str, typer.Option(help="HOST:PORT, port 0: any free one")] = "127.0.0.1:9000",
    record: Annotated[Path, typer.Option(help="where to keep the record")] = Path("endpoint.jsonl"),
    rate: Annotated[int, typer.Option(help="stream events a second, 0: as fast as they go")] = 50,
) -> None:
    """Run the local model endpoint until Control-C."""

    async def run() -> None:
        async with Endpoint(record, listen=listen, rate_per_s=rate) as endpoint:
            print(f"endpoint: {endpoint.url} (record: {record})", flush=True)
            await asyncio.Event().wait()

    uvloop.run(run())


if __name__ == "__main__":
    typer.run(main)
