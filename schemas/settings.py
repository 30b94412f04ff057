"""penstock.yaml: one file, every key also `PENSTOCK_…` (`PENSTOCK_TAP__LISTEN=…`). Read with `load_settings`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from .errors import SettingsError
from .handwritten import not_yaml, read_yaml
from .policy import Strict, explain
from .tap_settings import Address, Tap, Upstream


class Embedded(Strict):
    """A service that `penstock up` starts itself, as a child process."""

    listen: Address


class Kafka(Strict):
    """The broker: embedded, or yours."""

    embedded: Embedded | None = None
    bootstrap_servers: str | None = None
    partitions: Annotated[int, Field(ge=1, le=1024)] = 4
    replication_factor: Annotated[int, Field(ge=1)] = 1
    security: dict[str, str] = Field(default_factory=dict, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _one(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        if content.get("embedded") and content.get("bootstrap_servers"):
            raise ValueError("write `embedded:` or `bootstrap_servers:`, not both")
        if not content.get("embedded") and not content.get("bootstrap_servers"):
            return {**content, "embedded": {"listen": "127.0.0.1:9092"}}
        return content


class EmbeddedClickHouse(Embedded):
    """The embedded store: chdb behind the ClickHouse HTTP dialect."""

    open_reads: bool = True
    fsync: bool = True


class ClickHouse(Strict):
    """The store: embedded, or a server."""

    embedded: EmbeddedClickHouse | None = None
    url: str | None = None
    user: str = "default"
    password: str = Field(default="", repr=False, description="`env:NAME` or `file:PATH`")
    reader_user: str = ""
    reader_password: str = Field(default="", repr=False)
    database: Literal["penstock"] = "penstock"

    @model_validator(mode="before")
    @classmethod
    def _one(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        if content.get("embedded") and content.get("url"):
            raise ValueError("write `embedded:` or `url:`, not both")
        if not content.get("embedded") and not content.get("url"):
            return {**content, "embedded": {"listen": "127.0.0.1:8123"}}
        return content


class Trail(Strict):
    """The sealed log."""

    origin: Annotated[str, Field(pattern=r"^[^\s+]+$")] = "localhost/penstock"
    checkpoint_every_s: Annotated[float, Field(gt=0)] = 10.0
    checkpoints_file: Annotated[str, Field(min_length=1)] = "checkpoints.txt"


class Streams(Strict):
    """The workers."""

    rewind_max_bytes: Annotated[int, Field(ge=1_048_576)] = 268_435_456
    batch_max_bytes: Annotated[int, Field(ge=1_048_576)] = 16_777_216
    batch_max_events: Annotated[int, Field(ge=1)] = 2000
    batch_within_s: Annotated[float, Field(gt=0)] = 0.2
    session_timeout_s: Annotated[float, Field(ge=6)] = 10.0


class Secrets(Strict):
    """Where secrets lie: `file:PATH` (relative to the state folder) or `env:NAME`."""

    pepper: str = "file:secrets/pepper"
    control_mac: str = "file:secrets/control_mac"
    content_kek: str = "file:secrets/content_kek"
    signing_key: str = "file:secrets/signing_key"


class Settings(BaseSettings):
    """All of penstock.yaml. Variables named PENSTOCK_… win over the file."""

    model_config = SettingsConfigDict(
        env_prefix="PENSTOCK_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    tap: Tap = Tap()
    upstreams: tuple[Upstream, ...] = ()
    kafka: Kafka = Kafka()
    clickhouse: ClickHouse = ClickHouse()
    trail: Trail = Trail()
    streams: Streams = Streams()
    secrets: Secrets = Secrets()
    policy: str | None = None
    state_dir: Annotated[str, Field(min_length=1)] = ".penstock"
    base: Path = Field(default=Path(), exclude=True)
    file: Path | None = Field(default=None, exclude=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (EnvSettingsSource(settings_cls, env_ignore_empty=True), init_settings)

    @model_validator(mode="after")
    def _unique(self) -> "Settings":
        names = [upstream.name for upstream in self.upstreams]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"upstreams: name {doubled[0]!r} stands twice")
        return self

    @property
    def state(self) -> Path:
        """The state folder, absolute."""
        return (self.base / self.state_dir).resolve()

    @property
    def run(self) -> Path:
        """`<state_dir>/run`: process ids, real addresses, passwords of the embedded store."""
        return self.state / "run"

    @property
    def policy_path(self) -> Path | None:
        return (self.base / self.policy).resolve() if self.policy else None


def load_settings(path: Path | None) -> Settings:
    """The settings in `path` (None: ./penstock.yaml if it is there, else the defaults).

    SettingsError names key and remedy.
    """
    if path is None:
        path = Path("penstock.yaml") if Path("penstock.yaml").exists() else None
    content: Any = {}
    if path is not None:
        try:
            content = read_yaml(path) or {}
        except OSError as error:
            raise SettingsError(f"{path}: cannot read it ({error.strerror}); `penstock init` writes one") from error
        except yaml.YAMLError as error:
            raise SettingsError(f"{path}: {not_yaml(error)}") from error
    if not isinstance(content, dict) or {"base", "file"} & content.keys():
        raise SettingsError(f"{path}: must be a mapping of the keys in penstock.example.yaml")
    try:
        return Settings(**content, base=(path.parent if path else Path()).resolve(), file=path)
    except ValidationError as error:
        raise SettingsError(f"{path or 'settings'}: " + "; ".join(explain(error))) from error
