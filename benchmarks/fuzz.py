"""Feeds hostile request streams to the tap and lets another parser judge what it sends on.

`python benchmarks/fuzz.py --cases 1000000 --seed 1`: one request in is at most one request out, with the method, the
target and the body that the tap has recorded; the tap answers or closes, forgets nothing, and never fails in its own
code. Prints one JSON object; exit code 1 where a difference was found (with the seed and number of its case).
"""

import argparse
import hashlib
import json
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import h11
import uvloop
from fuzz_grammar import Grammar
from fuzz_tap import Faults, Forwarded, Tap

from penstock.schemas.frames import read_event
from penstock.schemas.secrets import new_secret_text
from penstock.schemas.settings import Settings

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n")


def settings(base: Path, parse_max_bytes: int) -> Settings:
    (base / ".penstock" / "secrets").mkdir(parents=True, exist_ok=True)
    (base / ".penstock" / "secrets" / "pepper").write_text(new_secret_text())
    return Settings.model_validate(
        {
            "base": base,
            "tap": {"parse_max_bytes": parse_max_bytes, "audit": "besteffort"},
            "upstreams": [{"name": "openai", "url": "http://127.0.0.1:9", "dialect": "openai"}],
        }
    )


def recorded(raw: list[bytes]) -> dict[str, dict[str, Any]]:
    """Heads and ends of the exchanges of one case, by id."""
    found: dict[str, dict[str, Any]] = {}
    for event in map(read_event, raw):
        exchange = found.setdefault(event.exchangeid, {"head": None, "end": None})
        if event.type == "penstock.completion.v1":
            if exchange["end"] is not None:
                raise AssertionError("an exchange ends twice")
            exchange["end"] = json.loads(event.body)
        elif exchange["head"] is None:
            exchange["head"] = json.loads(event.body)
    return found


def answers(data: bytes, methods: list[str]) -> list[int]:
    """The statuses of what the client got; AssertionError where it is no sequence of whole answers with an id each."""
    found: list[int] = []
    at = 0
    while at < len(data):
        match = STATUS.match(data, at)
        assert match, "what the client gets is no answer"
        end = data.index(b"\r\n\r\n", at) + 4
        head, status = data[at:end].lower(), int(match[1])
        at = end
        if status == 100:
            continue
        assert head.count(b"\r\nx-penstock-exchange-id: ") == 1 and b"theirs" not in head, "an answer without our id"
        length = re.search(rb"\r\ncontent-length: (\d+)\r\n", head)
        assert length, "an answer without a length"
        at += 0 if len(found) < len(methods) and methods[len(found)] == "HEAD" else int(length[1])
        found.append(status)
    assert at == len(data), "an answer is cut short"
    return found


def plain(data: bytes) -> list[Forwarded]:
    """What h11 reads in the client's own stream, as far as it is well-formed to h11."""
    judge, found, request, body = h11.Connection(h11.SERVER), [], None, b""
    try:
        judge.receive_data(data)
        while True:
            event = judge.next_event()
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                found.append((request.method, request.target, body))
            elif event is h11.PAUSED and judge.our_state is h11.SEND_RESPONSE:
                judge.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                judge.send(h11.EndOfMessage())
                judge.start_next_cycle()
            else:
                return found
    except (h11.RemoteProtocolError, h11.LocalProtocolError):
        return found


def judged(tap: Tap, data: bytes, got: bytes, counts: Counter[str]) -> None:
    """AssertionError with a sentence where something differs."""
    exchanges = recorded(tap.publisher.raw)
    assert not tap.core.running and not tap.core.clients, "an exchange or a connection is left"
    for exchange in exchanges.values():
        assert exchange["head"] and exchange["end"], "an exchange has no head or no end"
    statuses = answers(got, [exchange["head"]["method"] for exchange in exchanges.values()])
    counts.update(f"status_{status}" for status in statuses)
    assert len(statuses) <= len(exchanges), "more answers than exchanges"
    forwarded = [request for judge in tap.pool.judges for request in judge.requests]
    for judge in tap.pool.judges:
        assert not judge.wrong, judge.wrong
    answered = [one for one in exchanges.values() if one["end"]["upstream_status"] == 200]
    assert len(forwarded) == len(answered), (
        f"{len(forwarded)} requests went on, {len(answered)} are recorded as answered"
    )
    for (method, target, body), one in zip(forwarded, answered, strict=True):
        head, end = one["head"], one["end"]
        assert method.decode() == head["method"], "another method"
        if "*" not in head["path"]:
            assert target.decode("latin-1") == head["path"], "another target"
        assert (len(body), hashlib.sha256(body).hexdigest()) == (end["request_bytes"], end["request_sha256"]), (
            "another body"
        )
    read = plain(data) if answered else []
    for one, theirs in zip(exchanges.values(), read, strict=False):
        if one["end"]["upstream_status"] == 200:
            ours = (one["head"]["method"], one["end"]["request_sha256"])
            same = (theirs[0].decode(), hashlib.sha256(theirs[2]).hexdigest())
            assert ours == same, "h11 reads another request in the client's own stream"
    counts["forwarded"] += len(forwarded)
    counts["exchanges"] += len(exchanges)
    counts["not_forwarded_cases"] += not forwarded


async def fuzz(cases: int, seed: int, stop: bool, tell: bool) -> dict[str, Any]:
    faults, counts, differences = Faults(), Counter[str](), []
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        taps = [Tap(settings(Path(folder), size)) for size in (8_388_608, 1024)]
        for tap in taps:
            tap.core.tap.__dict__["parse_max_bytes"] = tap.core.tap.parse_max_bytes
        taps[1].core.tap.__dict__["parse_max_bytes"] = 40
        grammar = Grammar(seed)
        for number in range(cases):
            data = grammar.case()
            pieces = grammar.pieces(data)
            tap = taps[number % 2]
            got, _ = await tap.run(pieces)
            try:
                assert not faults.seen, f"the tap fails: {faults.seen}"
                judged(tap, data, got, counts)
            except AssertionError as error:
                differences.append({"case": number, "what": str(error), "data": repr(data), "cut": len(pieces)})
                faults.seen.clear()
                tap.pool.judges.clear()
                tap.pool._idle.clear()
                if stop:
                    break
            if tell and number % 20_000 == 19_999:
                rate = (number + 1) / (time.monotonic() - began_s)
                print(f"{number + 1} cases, {rate:.0f}/s, {len(differences)} differences", file=sys.stderr, flush=True)
    seconds = round(time.monotonic() - began_s, 1)
    kinds = Counter(one["what"] for one in differences)
    return {
        "cases": number + 1,
        "seed": seed,
        "seconds": seconds,
        **dict(sorted(counts.items())),
        "kinds": dict(kinds),
        "differences": differences[:20],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stop", action="store_true", help="end at the first difference")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    given = parser.parse_args()
    result = uvloop.run(fuzz(given.cases, given.seed, given.stop, not given.quiet))
    print(json.dumps(result, indent=1))
    sys.exit(1 if result["differences"] else 0)


if __name__ == "__main__":
    main()
