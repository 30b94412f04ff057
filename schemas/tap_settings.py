"""The keys of `tap` and `upstreams` in penstock.yaml."""

import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from .events import Dialect
from .keys import KEY_ID
from .paths import reserved
from .policy import Strict


def _address(value: str) -> str:
    host, separator, port = value.rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{value!r} is no address: write HOST:PORT, such as 127.0.0.1:8080 (port 0: any free one)")
    return value


def _caller(value: str) -> str:
    try:
        ip_network(value, strict=False)
    except ValueError as error:
        if not re.fullmatch(KEY_ID, value.removeprefix("key:")):
            raise ValueError(f"{value!r} is neither a network such as 10.0.0.0/8 nor the id of a key") from error
    return value


def _loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


Address = Annotated[str, AfterValidator(_address)]
Caller = Annotated[str, AfterValidator(_caller)]
HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
"""A token of RFC 9110, 5.6.2."""


class Timeouts(Strict):
    """How long the tap waits for an upstream, by phase."""

    connect_s: Annotated[float, Field(gt=0)] = 10.0
    first_byte_s: Annotated[float, Field(gt=0)] = 600.0
    idle_s: Annotated[float, Field(gt=0)] = 300.0
    total_s: Annotated[float, Field(gt=0)] = 3600.0
    client_header_s: Annotated[float, Field(gt=0)] = 10.0
    client_body_idle_s: Annotated[float, Field(gt=0)] = 30.0
    client_stall_s: Annotated[float, Field(gt=0)] = 60.0
    client_min_bytes_per_s: Annotated[float, Field(gt=0)] = 256.0
    keep_alive_s: Annotated[float, Field(gt=0)] = 75.0
    drain_s: Annotated[float, Field(ge=0)] = 10.0


class ServerTls(Strict):
    """What the listener proves itself with: PEM files, relative to penstock.yaml."""

    certificate: Annotated[str, Field(min_length=1)]
    key: Annotated[str, Field(min_length=1)]


class JournalSettings(Strict):
    """What waits for Kafka in `<state_dir>/journal/<tap id>`."""

    max_bytes: Annotated[int, Field(ge=16_777_216)] = 1_073_741_824
    sync_after_ms: Annotated[int, Field(ge=0)] = 1000
    sync_every_ms: Annotated[int, Field(ge=50)] = 200
    room_wait_s: Annotated[float, Field(gt=0)] = 60.0


class Tap(Strict):
    """The gateway tap."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")] = "tap-1"
    listen: Address = "127.0.0.1:8080"
    admin: Address = "127.0.0.1:8081"
    admin_token: Annotated[str, Field(pattern=r"^(file|env):.+$")] = "file:secrets/admin_token"  # noqa: S105 - where it lies
    open_metrics: bool = False
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    tls: ServerTls | None = None
    mode: Literal["observe", "enforce"] = "observe"
    audit: Literal["journal", "strict", "besteffort"] = "journal"
    journal: JournalSettings = JournalSettings()
    parse_max_bytes: Annotated[int, Field(ge=1024)] = 8_388_608
    body_max_bytes: Annotated[int, Field(ge=1024)] = 268_435_456
    header_max_bytes: Annotated[int, Field(ge=1024)] = 65_536
    header_max_count: Annotated[int, Field(ge=16)] = 128
    target_max_bytes: Annotated[int, Field(ge=256)] = 16_384
    write_buffer_bytes: Annotated[int, Field(ge=4096)] = 65_536
    max_connections: Annotated[int, Field(ge=1)] = 16_384
    dns_ttl_s: Annotated[float, Field(gt=0)] = 30.0
    queue_max_bytes: Annotated[int, Field(ge=1_048_576)] = 268_435_456
    trusted_callers: tuple[Caller, ...] = ()
    credential_headers: tuple[HeaderName, ...] = ()
    published_headers: tuple[HeaderName, ...] = ()
    timeouts: Timeouts = Timeouts()

    @model_validator(mode="after")
    def _fits(self) -> "Tap":
        if self.audit == "strict" and self.mode == "observe":
            raise ValueError("audit: strict needs mode: enforce, since it refuses requests while Kafka is away")
        if self.open_metrics and not _loopback(self.admin):
            raise ValueError("open_metrics needs an admin address of this machine alone, such as 127.0.0.1:8081")
        return self


def _cause(value: object) -> object:
    status = isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599
    if not status and value not in ("connect", "reset", "timeout"):
        raise ValueError(f"{value!r} is none of connect, reset, timeout, and no status from 400 to 599")
    return value


Cause = Annotated[str | int, BeforeValidator(_cause)]


class Limits(Strict):
    """How long one upstream is waited for, where it differs from `tap.timeouts`."""

    connect_s: Annotated[float, Field(gt=0)] | None = None
    first_byte_s: Annotated[float, Field(gt=0)] | None = None
    idle_s: Annotated[float, Field(gt=0)] | None = None
    total_s: Annotated[float, Field(gt=0)] | None = None


class Retries(Strict):
    """When one upstream is asked again: never after a byte of an answer went to the client; by default not at all."""

    attempts: Annotated[int, Field(ge=1, le=10, description="in all, the first included; 1: never again")] = 1
    after: tuple[Cause, ...] = ("connect",)
    posts: Literal["unsent", "keyed", "always"] = "unsent"
    backoff_s: Annotated[float, Field(ge=0, le=60)] = 0.1


class Upstream(Strict):
    """A model endpoint, or any gateway before one."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
    url: str
    dialect: Dialect = "openai"
    timeouts: Limits = Limits()
    retries: Retries = Retries()
    allow_private: bool = False
    ca: Annotated[str, Field(min_length=1)] | None = None

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if reserved(value):
            raise ValueError(f"`{value}` is a path of the first upstream; choose another name")
        return value

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write a URL such as https://api.openai.com")
        if parts.username or parts.password:
            raise ValueError("an upstream's url carries no user or password")
        if parts.query or parts.fragment:
            raise ValueError("an upstream's url ends with its path")
        return value.rstrip("/")
