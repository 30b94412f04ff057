"""SIGTERM while a stream runs: it ends, new requests are told to come back, nothing is lost, the exit code is 0."""

import asyncio
import signal
from pathlib import Path
from typing import Any

from .processes import LAST, Held, ask, event, tap_process


async def test_a_running_stream_ends_and_new_requests_are_refused(tmp_path: Path, upstream: Any, answer: Any) -> None:
    held = Held()
    async with tap_process(tmp_path, (await upstream(held)).url) as tap:
        reader, writer = await tap.connect()
        kept_reader, kept_writer = await tap.connect()
        kept_writer.write(b"GET /nowhere HTTP/1.1\r\nhost: t\r\n\r\n")
        assert (await answer(kept_reader))[0] == 404
        writer.write(ask())
        assert b"one begins" in await reader.readuntil(b"one begins")
        tap.tell(signal.SIGTERM)
        await tap.said('"event": "draining"')
        assert (await tap.get("/readyz"))[0] == 503
        assert (await tap.get("/healthz"))[0] == 200
        kept_writer.write(ask())
        status, headers, body = await answer(kept_reader)
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        assert b"it is stopping" in body
        assert await kept_reader.read() == b""
        try:
            await tap.connect()
        except ConnectionRefusedError:
            pass
        else:
            raise AssertionError("the listener is still open")
        held.go_on.set()
        assert (await reader.read()).endswith(event("one ends")[5:] + LAST)
        assert await tap.ended() == 0
        assert held.called == 1
        writer.close()
        kept_writer.close()


async def test_what_still_runs_at_the_limit_is_cut(tmp_path: Path, upstream: Any) -> None:
    held = Held()
    async with tap_process(tmp_path, (await upstream(held)).url, tap={"timeouts": {"drain_s": 0.2}}) as tap:
        reader, writer = await tap.connect()
        writer.write(ask())
        await reader.readuntil(b"one begins")
        tap.tell(signal.SIGTERM)
        assert not (await reader.read()).endswith(LAST)
        assert await tap.ended() == 0
        await asyncio.wait_for(held.gone.wait(), 5)
        writer.close()


async def test_a_second_signal_cuts_at_once(tmp_path: Path, upstream: Any) -> None:
    held = Held()
    async with tap_process(tmp_path, (await upstream(held)).url, tap={"timeouts": {"drain_s": 600}}) as tap:
        reader, writer = await tap.connect()
        writer.write(ask())
        await reader.readuntil(b"one begins")
        tap.tell(signal.SIGTERM)
        await tap.said('"event": "draining"')
        tap.tell(signal.SIGTERM)
        assert not (await asyncio.wait_for(reader.read(), 10)).endswith(LAST)
        assert await tap.ended() == 0
        writer.close()
