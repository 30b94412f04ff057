"""Hostile answers of an upstream, with h11 as the client behind the tap: one answer in is at most one answer out.

`python benchmarks/fuzz_answers.py --cases 200000 --seed 1`. A client of the tap sends two requests on one connection;
the upstream answers each with damaged bytes. What the client gets is, to h11, at most one answer per request, each with
the exchange's own id and the body that the tap has recorded, and nothing behind them. Prints one JSON object.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import h11
import uvloop
from fuzz import recorded, settings
from fuzz_grammar import Grammar
from fuzz_tap import Faults, Judge, Tap

SEEDS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"8\r\ndata: 1\n\r\n1\r\n\n\r\n0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    b"HTTP/1.1 429 Slow Down\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
    b"HTTP/1.1 200 OK\r\nX-Penstock-Exchange-Id: theirs\r\nContent-Length: 2\r\n\r\n{}",
)
CHAT = b'{"model":"m","stream":true,"messages":[]}'
REQUESTS = (
    b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    b"HEAD /v1/x HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(CHAT), CHAT),
    b"GET /v1/x HTTP/1.0\r\n\r\n",
)


class Hostile:
    """Answers with what the grammar makes, in place of the judge's own."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar, self.given = grammar, list[bytes]()

    def answer(self, judge: Judge, method: bytes) -> None:
        data = self.grammar.case()
        self.given.append(data)
        loop = asyncio.get_running_loop()
        for piece in self.grammar.pieces(data):
            loop.call_soon(judge.upstream.data_received, piece)
        loop.call_soon(judge.wire.close)


def read(got: bytes, methods: list[str]) -> list[tuple[int, str, bytes, bool]]:
    """Status, id, body and wholeness of each answer as h11 reads them; AssertionError where it cannot."""
    client, found = h11.Connection(h11.CLIENT), list[tuple[int, str, bytes, bool]]()
    client.receive_data(got)
    client.receive_data(b"")
    for method in methods:
        client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        status, ident, body = 0, "", b""
        try:
            while not isinstance(event := client.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Response):
                    ids = [value.decode() for name, value in event.headers if name == b"x-penstock-exchange-id"]
                    assert len(ids) == 1, "an answer without one id"
                    status, ident = event.status_code, ids[0]
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.ConnectionClosed):
                    return found
        except h11.RemoteProtocolError as error:
            if status or "without sending" in str(error) or "closed connection" in str(error):
                return [*found, (status, ident, body, False)] if status else found
            raise AssertionError(f"h11 refuses what the client gets: {error}") from error
        found.append((status, ident, body, True))
        if client.our_state is not h11.DONE or client.their_state is not h11.DONE:
            break
        client.start_next_cycle()
    assert not client.trailing_data[0] or client.their_state is not h11.DONE, "bytes behind the answers"
    return found


def judged(tap: Tap, got: bytes, counts: Counter[str]) -> None:
    """AssertionError with a sentence where something differs."""
    exchanges = recorded(tap.publisher.raw)
    assert not tap.core.running and not tap.core.clients, "an exchange or a connection is left"
    seen = read(got, [one["head"]["method"] or "GET" for one in exchanges.values()])
    assert len(seen) <= len(exchanges)
    for (status, ident, body, whole), (exchange_id, one) in zip(seen, exchanges.items(), strict=False):
        end = one["end"]
        assert ident == exchange_id and status == end["status"], "another exchange's answer"
        counts[f"status_{status}"] += 1
        if whole and one["head"]["method"] != "HEAD" and end["outcome"] == "completed":
            assert len(body) == end["response_bytes"], "another body than the one that is recorded"
        counts["whole" if whole else "broken_off"] += 1
    counts["exchanges"] += len(exchanges)


async def fuzz(cases: int, seed: int, tell: bool) -> dict[str, Any]:
    faults, counts, differences = Faults(), Counter[str](), list[dict[str, Any]]()
    hostile = Hostile(Grammar(seed, SEEDS))
    Judge.answer = lambda judge, method: hostile.answer(judge, method)  # type: ignore[method-assign]
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tap = Tap(settings(Path(folder), 8_388_608))
        for number in range(cases):
            hostile.given.clear()
            got, _ = await tap.run([REQUESTS[number % len(REQUESTS)], REQUESTS[number // 4 % 2]])
            try:
                assert not faults.seen, f"the tap fails: {faults.seen}"
                judged(tap, got, counts)
            except AssertionError as error:
                differences.append({"case": number, "what": str(error), "data": repr(hostile.given), "got": repr(got)})
                faults.seen.clear()
            tap.pool.judges.clear()
            tap.pool._idle.clear()
            if tell and number % 20_000 == 19_999:
                print(f"{number + 1} cases, {len(differences)} differences", file=sys.stderr, flush=True)
    seconds = round(time.monotonic() - began_s, 1)
    kinds = Counter(one["what"] for one in differences)
    found = {"cases": cases, "seed": seed, "seconds": seconds, **dict(sorted(counts.items()))}
    return {**found, "kinds": dict(kinds), "differences": differences[:20]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quiet", action="store_true", help="no progress")
    given = parser.parse_args()
    result = uvloop.run(fuzz(given.cases, given.seed, not given.quiet))
    print(json.dumps(result, indent=1))
    sys.exit(1 if result["differences"] else 0)


if __name__ == "__main__":
    main()
