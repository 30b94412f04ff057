"""What the tap's own code costs: one exchange from the client's bytes to the client's bytes, over transports that only
count, with frames that go nowhere.

    python benchmarks/exchange.py [--count 1500] [--rounds 7] [--credential sk-…] [--profile]

No socket, no Kafka and no kernel are in it, and the time is this process's own, so that rounds lie within a few percent
of each other even on a busy machine: what a change is worth is seen here first.
"""

import argparse
import asyncio
import cProfile
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import uvloop
from load import EVENT, JSON_ANSWER, STREAM_END, STREAM_HEAD, request

from penstock.gateway_tap.app import build
from penstock.gateway_tap.clock import Clock
from penstock.gateway_tap.core import Core
from penstock.gateway_tap.downstream import Downstream
from penstock.gateway_tap.lane import Lane
from penstock.gateway_tap.upstream import Upstream
from penstock.local.secrets import make_secrets
from penstock.schemas.settings import Settings

CHUNK: Final = b"%x\r\n%b\r\n" % (len(EVENT % 0), EVENT % 0)
AT_ONCE, READS = 20, 10


class Counter(asyncio.Transport):
    """A transport that counts the bytes it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def write(self, data: Any) -> None:
        self.bytes += len(data)

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It has no buffer."""

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self) -> None:
        """Nothing is read."""


class Nowhere:
    """A publisher that gathers events in lanes and lets the frames go."""

    partitions, has_room = 4, True

    def __init__(self) -> None:
        self.lanes = [Lane(number) for number in range(self.partitions)]

    def publish(self, partition: int, exchange_id: str, events: list[bytes]) -> bool:
        lane = self.lanes[partition]
        lane.add(exchange_id, events)
        lane.frames.clear()
        return True

    def partial(self, exchange_id: str, data: bytes, hidden: int) -> None:
        """Nothing is recovered here."""


class Bench:
    """A tap between two counters."""

    def __init__(self, core: Core, credential: str) -> None:
        pool = next(iter(core.pools.values()))
        self.core = core
        self.client, self.upstream = Downstream(core), Upstream(pool, core.deadlines, "127.0.0.1:1")
        self.client.connection_made(Counter())
        self.upstream.connection_made(Counter())
        pool.idle = lambda: self.upstream  # type: ignore[method-assign]
        pool.give_back = lambda upstream: None  # type: ignore[method-assign]
        self._asks = {stream: request(stream, credential=credential) for stream in (False, True)}

    def whole(self) -> int:
        """One answer that is not streamed."""
        self.client.data_received(self._asks[False])
        self._answer(JSON_ANSWER)
        return 1

    def flat(self) -> int:
        """One stream whose events come twenty in a read."""
        return self._stream(CHUNK * AT_ONCE, READS) * AT_ONCE

    def paced(self) -> int:
        """One stream whose events come one by one."""
        return self._stream(CHUNK, AT_ONCE * READS)

    def _stream(self, data: bytes, reads: int) -> int:
        self.client.data_received(self._asks[True])
        self._answer(STREAM_HEAD)
        for _ in range(reads):
            self._answer(data)
        self._answer(STREAM_END)
        return reads

    def _answer(self, data: bytes) -> None:
        self.upstream.data_received(data)
        self.core.turn._flush()


def made(folder: Path, credential: str) -> Bench:
    settings = Settings(
        base=folder,
        tap={"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "audit": "journal"},
        upstreams=[{"name": "mock", "url": "http://127.0.0.1:1"}],
    )
    make_secrets(settings)
    return Bench(build(settings, Nowhere(), Clock()), credential)  # type: ignore[arg-type]


def micros(run: Callable[[], int], count: int) -> float:
    """Processor microseconds of one unit, over about `count` of them."""
    units, before = 0, time.process_time()
    while units < count:
        units += run()
    return (time.process_time() - before) / units * 1e6


async def measure(given: argparse.Namespace, folder: Path) -> None:
    bench = made(folder, given.credential)
    loads = (("request", bench.whole, 1), ("chunk flat", bench.flat, 20), ("chunk paced", bench.paced, 2))
    for name, run, times in loads:
        micros(run, given.count)
        if given.profile:
            profiler = cProfile.Profile()
            profiler.runcall(micros, run, given.count)
            pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
        rounds = sorted(micros(run, given.count * times) for _ in range(given.rounds))
        print(f"{name:12} {rounds[len(rounds) // 2]:7.2f} us ({rounds[0]:.2f}–{rounds[-1]:.2f})", flush=True)
    wrong = {name: count for name, count in bench.core.outcomes.items() if name != "completed"}
    if wrong:
        raise SystemExit(f"not all exchanges were completed: {wrong}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--credential", default="sk-bench-0123456789abcdef")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(measure(given, Path(folder)))


if __name__ == "__main__":
    main()
