"""Where the parts of a running deployment really are: `<state_dir>/run/NAME.json`, written by the part itself.

Embedded services may listen on port 0, so their clients ask here; services of your own are read from the settings.
"""

import json
import os
from pathlib import Path
from typing import Any, Literal

from .errors import ServiceUnavailable, SettingsError
from .settings import Settings

Role = Literal["admin", "writer", "reader"]


def write_run_file(run: Path, name: str, content: dict[str, Any]) -> Path:
    """Publishes `content` as `<run>/<name>.json`, readable by its owner alone, in one step."""
    run.mkdir(parents=True, exist_ok=True, mode=0o700)
    path, fresh = run / f"{name}.json", run / f".{name}.json.{os.getpid()}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)
    fresh.replace(path)
    return path


def read_run_file(run: Path, name: str) -> dict[str, Any]:
    """What `name` published. ServiceUnavailable where it does not run."""
    try:
        content = json.loads((run / f"{name}.json").read_text())
    except (OSError, ValueError) as error:
        raise ServiceUnavailable(
            f"{name} does not run here (no {run / name}.json): start it with `penstock up`"
        ) from error
    if not isinstance(content, dict):
        raise ServiceUnavailable(f"{run / name}.json is damaged: start {name} again")
    return content


def kafka_client(settings: Settings) -> dict[str, Any]:
    """Keyword arguments that every aiokafka client of this deployment takes."""
    if settings.kafka.embedded is not None:
        return {"bootstrap_servers": str(read_run_file(settings.run, "kafka")["listen"])}
    security = settings.kafka.security
    unknown = set(security) - _SECURITY_KEYS
    if unknown:
        raise SettingsError(
            f"kafka.security: {sorted(unknown)[0]!r} is unknown; known are {', '.join(sorted(_SECURITY_KEYS))}"
        )
    values: dict[str, Any] = {"bootstrap_servers": settings.kafka.bootstrap_servers}
    for key, value in security.items():
        if key == "ssl_cafile":
            import ssl

            try:
                values["ssl_context"] = ssl.create_default_context(cafile=settings.base / value)
            except OSError as error:
                raise SettingsError(f"kafka.security.ssl_cafile: cannot read {value} ({error.strerror})") from error
        else:
            values[key] = secret_text(value, settings.base)
    return values


_SECURITY_KEYS = {
    "security_protocol",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "ssl_cafile",
}


def clickhouse_client(settings: Settings, role: Role) -> dict[str, Any]:
    """Keyword arguments for `clickhouse_connect.get_client` or `get_async_client` in a role."""
    common: dict[str, Any] = {"autogenerate_session_id": False}
    if settings.clickhouse.embedded is not None:
        found = read_run_file(settings.run, "clickhouse")
        return {
            "dsn": found["url"],
            "username": found[role]["user"],
            "password": found[role]["password"],
            **common,
        }
    store = settings.clickhouse
    reader = role == "reader" and store.reader_user
    return {
        "dsn": store.url,
        "username": store.reader_user if reader else store.user,
        "password": secret_text(store.reader_password if reader else store.password, settings.base),
        **common,
    }


def secret_text(value: str, base: Path) -> str:
    """`env:NAME` and `file:PATH` resolved; anything else is itself."""
    kind, _, where = value.partition(":")
    if kind == "env":
        if where not in os.environ:
            raise SettingsError(f"the variable {where} is not set")
        return os.environ[where]
    if kind == "file":
        try:
            return (base / where).read_text().strip()
        except OSError as error:
            raise SettingsError(f"cannot read {base / where} ({error.strerror})") from error
    return value
