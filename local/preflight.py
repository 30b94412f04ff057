"""Edge: what is looked at before anything starts: ports that must be free, upstreams that should answer."""

import asyncio
from urllib.parse import urlsplit

from penstock.gateway_tap.ranges import is_literal, may_stand_for
from penstock.schemas.errors import SettingsError
from penstock.schemas.settings import Settings
from penstock.schemas.tap_settings import Upstream

from .ports import require_free, require_loopback, split_address

EXAMPLE = """upstreams: no model endpoint is configured, so there is nothing to stand before. Add one to penstock.yaml:

  upstreams:
    - {name: openai, url: "https://api.openai.com", dialect: openai}

`penstock init` writes a commented penstock.yaml."""
PATIENCE_S = 3.0


def check_upstreams(settings: Settings) -> None:
    """SettingsError with an example where no upstream is configured."""
    if not settings.upstreams:
        raise SettingsError(EXAMPLE)


def check_ports(settings: Settings) -> None:
    """ServiceUnavailable names the first port that is taken, and the setting that moves it."""
    if settings.kafka.embedded is not None:
        host, port = require_loopback("embedded Kafka", settings.kafka.embedded.listen)
        _check("embedded Kafka", host, port, "kafka.embedded.listen")
    if settings.clickhouse.embedded is not None:
        host, port = require_loopback("embedded ClickHouse", settings.clickhouse.embedded.listen)
        _check("embedded ClickHouse", host, port, "clickhouse.embedded.listen")
    _check("tap", *split_address(settings.tap.listen), "tap.listen")
    _check("tap's admin port", *split_address(settings.tap.admin), "tap.admin")


def _check(what: str, host: str, port: int, key: str) -> None:
    if port:
        require_free(what, host, port, key)


async def unreachable(settings: Settings) -> list[str]:
    """One sentence per upstream that does not resolve or connect now, or that the tap would not call. That may change:
    a warning."""
    found = await asyncio.gather(*(_reach(upstream) for upstream in settings.upstreams))
    return [sentence for sentence in found if sentence]


async def _reach(upstream: Upstream) -> str | None:
    parts = urlsplit(upstream.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(PATIENCE_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
        address = writer.get_extra_info("peername")[0]
        writer.close()
    except TimeoutError:
        return f"upstream {upstream.name}: {parts.hostname}:{port} gave no answer within {PATIENCE_S:.0f} s"
    except OSError as error:
        return f"upstream {upstream.name}: {parts.hostname}:{port} cannot be reached ({error.strerror or error})"
    if not is_literal(parts.hostname or "") and not may_stand_for(address, allow_private=upstream.allow_private):
        return (
            f"upstream {upstream.name}: {parts.hostname} stands for {address}, which is not public: the tap calls it"
            " with `allow_private: true` at this upstream, or by its address in the url"
        )
    return None
