"""Edge: `penstock up`: one deployment in the foreground, until Control-C."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from penstock.schemas.addresses import read_run_file
from penstock.schemas.settings import Settings

from .deployment import Deployment
from .preflight import unreachable

AUDIT = {
    "journal": "journal: events are in a file of the state folder before their bytes go on, and wait there until Kafka"
    "\n                has them; a tap that is killed costs none. A power failure of the host may cost the last ones.",
    "besteffort": "besteffort: events wait in memory until Kafka has them. A tap that is killed, or a Kafka that stays"
    "\n                away longer than the queue lasts, costs events; what the tap drops is counted, and the trail"
    "\n                names it as a gap.",
    "strict": "strict: the upstream is called once the prompt is in Kafka, the last bytes are given once the"
    "\n                completion is; while Kafka is away, requests are refused.",
}


async def run_up(config: Path, say: Callable[[str], None]) -> None:
    """Starts everything, says where it is, and returns once a SIGINT or SIGTERM has stopped it all in order.

    A second signal kills what is still running. Errors are those of `Deployment.start`.
    """
    deployment = Deployment(config, lambda line: say(f"  {line}"))
    signals: asyncio.Queue[None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signals.put_nowait, None)
    say("Penstock starts")
    work = asyncio.create_task(_work(deployment, say))
    asked = asyncio.create_task(signals.get())
    await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
    if asked.done():
        say("Stopping (Control-C again kills)")
        work.cancel()
        asked = asyncio.create_task(signals.get())
        await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            deployment.kill()
    asked.cancel()
    try:
        await work
    except asyncio.CancelledError:
        say("Stopped")


async def _work(deployment: Deployment, say: Callable[[str], None]) -> None:
    async with deployment:
        say(where(deployment))
        for warning in await unreachable(deployment.settings):
            say(f"Warning: {warning}")
        await asyncio.Event().wait()


def where(deployment: Deployment) -> str:
    """What runs where, and what to do next, for people."""
    settings = deployment.settings
    tap = read_run_file(settings.run, "tap")
    first = settings.upstreams[0]
    lines = [
        f"Penstock is up (tap.mode: {settings.tap.mode})",
        "",
        f"  Tap           {tap['url']}  (upstreams: {', '.join(f'/{x.name}/' for x in settings.upstreams)})",
        f"  Send traffic  {_variable(first.dialect)}={tap['url']}{'/v1' if first.dialect == 'openai' else ''}",
        f"  Health        {tap['admin']}/readyz  /metrics",
        f"  ClickHouse    {_store(settings)}",
        f"  Kafka         {_kafka(settings)}",
        f"  State, logs   {settings.state}  {settings.state / 'logs'}/",
        f"  tap.audit     {AUDIT[settings.tap.audit]}",
        "",
        f"  Next          penstock status --config {deployment.config}",
        "                penstock spend · penstock show ID · penstock verify",
        "",
        "Control-C stops everything.",
    ]
    return "\n".join(lines)


def _variable(dialect: str) -> str:
    return "ANTHROPIC_BASE_URL" if dialect == "anthropic" else "OPENAI_BASE_URL"


def _store(settings: Settings) -> str:
    embedded = settings.clickhouse.embedded
    if embedded is None:
        return str(settings.clickhouse.url)
    url = read_run_file(settings.run, "clickhouse")["url"]
    example = f"  (try: curl '{url}/?query=SELECT+count()+FROM+penstock.exchanges')" if embedded.open_reads else ""
    return f"{url}{example}"


def _kafka(settings: Settings) -> str:
    if settings.kafka.embedded is None:
        return str(settings.kafka.bootstrap_servers)
    return str(read_run_file(settings.run, "kafka")["listen"])
