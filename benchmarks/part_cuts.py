"""(c) From passing a limit to the cut, and what was given beyond it: `cut_ms`, `overshoot_tokens` of penstock.kills."""

import asyncio

from load import ask, request
from report import Figure, Table, of_rounds, quantile
from system import System, Tell, endpoint, system

RUNS = 50
AT_ONCE = 5
RATE_PER_S = 100
EXCHANGE_TOKENS = 120
TEAM_TOKENS = 60
"""Below the limit of an exchange, so that a team's stream passes the team's limit first."""


async def measure(rounds: int, seconds: float, tell: Tell) -> list[Table]:
    """`rounds` times 50 streams that pass their own limit, and 50 that pass their team's."""
    teams = {f"team{number}": f"sk-team-{number}-0123456789abcdef" for number in range(RUNS * rounds)}
    limits = [
        {"id": "exchange", "scope": "exchange:*", "unit": "output_tokens", "amount": EXCHANGE_TOKENS},
        {"id": "team", "scope": "team:*", "unit": "output_tokens", "amount": TEAM_TOKENS, "window": "day"},
    ]
    columns = ("cuts a round", "cut p50 ms", "cut p90 ms", "cut max ms", "over p50 tokens", "over p90", "over max")
    table = Table(f"From passing a limit to the cut, {RATE_PER_S} chunks/s a stream, {AT_ONCE} at once", columns)
    async with (
        endpoint(RATE_PER_S) as url,
        system(url, tell, mode="enforce", teams=teams, limits=limits) as made,
    ):
        nobody = ["sk-nobody"] * RUNS
        await _run(made, nobody[:AT_ONCE])  # what is imported and compiled on first use is paid for here
        await made.drained()
        for limit, where in (("exchange", "the counting agent decides"), ("team", "over the budget agent")):
            found = []
            for number in range(rounds):
                tell(f"round {number + 1} of {rounds}: {RUNS} streams pass the limit of their {limit}")
                known = await _kills(made, limit)
                mine = [*teams.values()][number * RUNS : (number + 1) * RUNS]
                await _run(made, nobody if limit == "exchange" else mine)
                found.append(await _new(made, limit, known))
            table.add(f"{limit} ({where})", *_figures(found))
    table.notes.append(
        "`cut`: from the time that the tap gave the event that passed the limit to the moment at which it ended the "
        "stream. `over`: tokens that the client got beyond the limit."
    )
    return [table]


def _figures(rounds: list[list[tuple[float, int]]]) -> list[Figure]:
    figures = [of_rounds(len(cuts) for cuts in rounds)]
    for place in (0, 1):
        columns = [[float(cut[place]) for cut in cuts] for cuts in rounds]
        figures += [of_rounds(quantile(column, share) for column in columns) for share in (0.5, 0.9, 1.0)]
    return figures


async def _run(made: System, credentials: list[str]) -> None:
    gate, text = asyncio.Semaphore(AT_ONCE), f"Write. {{{{endpoint tokens=1000 rate={RATE_PER_S}}}}}"

    async def one(credential: str) -> None:
        async with gate:
            await ask(made.port, request(True, credential=credential, text=text, last=True))

    await asyncio.gather(*map(one, credentials))


async def _kills(made: System, limit: str) -> dict[str, tuple[float, int]]:
    rows = await made.query(
        f"SELECT exchange_id, cut_ms, overshoot_tokens FROM penstock.kills FINAL WHERE limit_id = '{limit}'"
    )
    return {exchange: (float(cut_ms), int(over)) for exchange, cut_ms, over in rows}


async def _new(made: System, limit: str, known: dict[str, tuple[float, int]]) -> list[tuple[float, int]]:
    await made.drained()
    found = await _kills(made, limit)
    return [cut for exchange, cut in found.items() if exchange not in known]
