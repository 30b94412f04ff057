"""(a) At the tap: what it adds to a request and to a chunk, beside the same load sent straight to the upstream."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from load import EVENTS, Seen, cpu_s, drive, request, serve_mock, spawn
from report import Figure, Table, of_rounds, quantile
from system import System, Tell, system

CONCURRENCY = (1, 32, 256)
STREAMS = (1, 32)
PACED_STREAMS = 20
PACE_PER_S = 50


@dataclass(slots=True)
class Pair:
    """The rounds of one load, straight and through the tap, and the tap's processor seconds in each."""

    direct: list[Seen] = field(default_factory=list)
    tap: list[Seen] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def of(self, figure: Callable[[Seen, Seen], float]) -> Figure:
        return of_rounds(figure(direct, tap) for direct, tap in zip(self.direct, self.tap, strict=True))

    def micros_each(self, per_request: int) -> Figure:
        return of_rounds(cpu / (tap.requests * per_request) * 1e6 for cpu, tap in zip(self.cpu, self.tap, strict=True))

    def per_core(self, per_request: int) -> Figure:
        return of_rounds(tap.requests * per_request / cpu for cpu, tap in zip(self.cpu, self.tap, strict=True))


async def measure(rounds: int, seconds: float, tell: Tell) -> list[Table]:
    """Rounds of both ways follow each other, so that what else runs here hits both."""
    mock, upstream = spawn(serve_mock, "")
    try:
        async with system(f"http://127.0.0.1:{upstream}", tell) as made:
            return [
                await _requests(made, upstream, rounds, seconds, tell),
                await _chunks(made, upstream, rounds, seconds, tell),
                await _transit(made, upstream, rounds, seconds, tell),
            ]
    finally:
        mock.terminate()
        mock.join()


async def _pairs(
    made: System, upstream: int, rounds: int, seconds: float, tell: Tell, data: bytes, connections: int, stream: bool
) -> Pair:
    pair = Pair()
    load = partial(drive, data=data, stream=stream, connections=connections, seconds=seconds, timed=stream)
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}: {connections} {'streams' if stream else 'requests'} at once")
        await made.drained()
        pair.direct.append(await load(upstream))
        before = cpu_s(made.pid("tap"))
        pair.tap.append(await load(made.port))
        pair.cpu.append(max(0.01, cpu_s(made.pid("tap")) - before))
    return pair


async def _requests(made: System, upstream: int, rounds: int, seconds: float, tell: Tell) -> Table:
    columns = ("direct req/s", "tap req/s", "tap ÷ direct", "added p50 ms", "added p99 ms", "tap CPU µs", "per core/s")
    table = Table("Requests that are not streamed", columns)
    for connections in CONCURRENCY:
        pair = await _pairs(made, upstream, rounds, seconds, tell, request(False), connections, False)
        table.add(
            f"{connections} at once",
            pair.of(lambda direct, _: direct.requests / direct.seconds),
            pair.of(lambda _, tap: tap.requests / tap.seconds),
            pair.of(lambda direct, tap: (tap.requests / tap.seconds) / (direct.requests / direct.seconds)),
            pair.of(lambda direct, tap: quantile(tap.latency_ms, 0.5) - quantile(direct.latency_ms, 0.5)),
            pair.of(lambda direct, tap: quantile(tap.latency_ms, 0.99) - quantile(direct.latency_ms, 0.99)),
            pair.micros_each(1),
            pair.per_core(1),
        )
    table.notes.append(
        "Each connection sends its next request as soon as it has the answer, so with many at once the added time is "
        "mostly waiting for the one core that the tap has. `per core/s` is requests per processor second of the tap."
    )
    return table


async def _chunks(made: System, upstream: int, rounds: int, seconds: float, tell: Tell) -> Table:
    columns = ("direct chunks/s", "tap chunks/s", "tap ÷ direct", "tap CPU µs", "per core/s")
    table = Table("Streams, flat out", columns)
    for connections in STREAMS:
        pair = await _pairs(made, upstream, rounds, seconds, tell, request(True), connections, True)
        table.add(
            f"{connections} at once",
            pair.of(lambda direct, _: direct.requests * (EVENTS + 1) / direct.seconds),
            pair.of(lambda _, tap: tap.requests * (EVENTS + 1) / tap.seconds),
            pair.of(lambda direct, tap: (tap.requests / tap.seconds) / (direct.requests / direct.seconds)),
            pair.micros_each(EVENTS + 1),
            pair.per_core(EVENTS + 1),
        )
    return table


async def _transit(made: System, upstream: int, rounds: int, seconds: float, tell: Tell) -> Table:
    columns = ("direct p50", "direct p99", "tap p50", "tap p99", "added p50", "added p99")
    table = Table(
        f"Time of one chunk from the endpoint's write to the client, ms, {PACE_PER_S} chunks/s a stream", columns
    )
    data = request(True, pace=PACE_PER_S)
    pair = await _pairs(made, upstream, rounds, seconds, tell, data, PACED_STREAMS, True)

    def at(share: float) -> list[Figure]:
        return [
            pair.of(lambda direct, _: quantile(direct.transit_ms, share)),
            pair.of(lambda _, tap: quantile(tap.transit_ms, share)),
            pair.of(lambda direct, tap: quantile(tap.transit_ms, share) - quantile(direct.transit_ms, share)),
        ]

    middle, slow = at(0.5), at(0.99)
    both = [figure for pair_of in zip(middle, slow, strict=True) for figure in pair_of]
    table.add(f"{PACED_STREAMS} streams", *both)
    return table
