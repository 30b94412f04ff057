"""Edge: an upstream that replays recorded exchanges, cut and framed as a test asks.

A request names its cassette by the header `x-replay: ID`, or by a path `/cassette/ID/…/v1/…` (ids have slashes). More
headers: `x-replay-cut: events|whole|bytes|random`, `x-replay-seed: N`, `x-replay-framing: chunked|length|close`,
`x-replay-wire: 1` (the transfer coding itself goes out byte by byte), `x-replay-usage: off`. What they leave open, the
server's own `How` decides. Alone: `python -m penstock.local.replay --listen HOST:PORT`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Final, Literal, cast

import orjson
import typer
import uvloop

from .endpoint_http import Answer, Request, serve
from .replay_cassettes import Cassette, read_cassettes, shared_folder
from .replay_cuts import CUTS, Cut, cut_body

Framing = Literal["chunked", "length", "close"]
_MARK: Final = "/cassette/"


@dataclass(frozen=True, slots=True)
class How:
    """How an answer is sent, where the request does not say."""

    cut: Cut = "events"
    seed: int = 0
    framing: Framing = "chunked"
    wire: bool = False
    usage: bool = True

    def asked(self, headers: Mapping[str, str]) -> "How":
        """This, with what the request's headers say."""
        cut, framing = headers.get("x-replay-cut"), headers.get("x-replay-framing")
        return How(
            cut=cut if cut in CUTS else self.cut,
            seed=int(headers.get("x-replay-seed", self.seed)),
            framing=cast(Framing, framing) if framing in ("chunked", "length", "close") else self.framing,
            wire="x-replay-wire" in headers or self.wire,
            usage=headers.get("x-replay-usage") != "off" if "x-replay-usage" in headers else self.usage,
        )


@asynccontextmanager
async def replay(
    cassettes: Mapping[str, Cassette], *, listen: str = "127.0.0.1:0", how: How | None = None
) -> AsyncIterator[str]:
    """Serves `cassettes` until the block ends; gives the base URL."""

    async def handle(request: Request, answer: Answer) -> None:
        found = _find(request, cassettes)
        if found is None:
            body = orjson.dumps({"error": {"message": "no such cassette", "type": "invalid_request_error"}})
            await answer.start(404, [("content-type", "application/json")], length=len(body))
            await answer.send(body)
            return await answer.finish()
        return await _send(found, (how or How()).asked(request.headers), answer)

    async with serve(handle, listen) as url:
        yield url


def _find(request: Request, cassettes: Mapping[str, Cassette]) -> Cassette | None:
    named = request.headers.get("x-replay")
    if named is None and _MARK in request.target:
        named = "/".join(request.target.partition(_MARK)[2].split("/")[:3])
    return cassettes.get(named or "")


async def _send(cassette: Cassette, how: How, answer: Answer) -> None:
    body = cassette.body if how.usage else cassette.body_without_usage()
    length = len(body) if how.framing == "length" else None
    await answer.start(cassette.status, list(cassette.headers), length=length, close=how.framing == "close")
    for piece in cut_body(body, how.cut, how.seed):
        if how.wire:
            for byte in answer.frame(piece):
                await answer.write(bytes((byte,)))
        else:
            await answer.send(piece)
    await answer.finish()


def main(listen: Annotated[str, typer.Option(help="HOST:PORT, port 0: any free one")] = "127.0.0.1:9001") -> None:
    """Replay the recorded exchanges until Control-C."""

    async def run() -> None:
        async with replay(read_cassettes(shared_folder()), listen=listen) as url:
            print(f"replay: {url}", flush=True)
            await asyncio.Event().wait()

    uvloop.run(run())


if __name__ == "__main__":
    typer.run(main)
