"""Edge: the demo's own deployment: a fresh state folder with settings, secrets, teams' keys and a limit to pass."""

import secrets
import shutil
from pathlib import Path
from typing import Final

import yaml

from penstock.schemas.errors import UsageError
from penstock.schemas.keys import key_hash
from penstock.schemas.secrets import read_secret
from penstock.schemas.settings import Settings, load_settings

from .demo_calls import LIMIT_TOKENS, LIMITED
from .processes import only_one
from .secrets import make_secrets

TEAMS: Final = (LIMITED, "support", "billing", "search")
STATE: Final = "state"
_TOKENS_A_DAY: Final = {"unit": "output_tokens", "amount": LIMIT_TOKENS, "window": "day"}


def fresh_folder(folder: Path) -> None:
    """Empties `folder`. UsageError where a demo is at work in it, or where it holds anything but a demo."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "penstock.yaml").exists():
        raise UsageError(f"{folder} is no demo's folder: name an empty one")
    if (folder / STATE).exists():
        with only_one(folder / STATE, "penstock demo"):
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def write_deployment(folder: Path, endpoint_url: str) -> tuple[Path, dict[str, str]]:
    """Writes penstock.yaml and policy.yaml for the endpoint; returns the former and each team's credential."""
    config = folder / "penstock.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "tap": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "mode": "enforce"},
                "upstreams": [
                    {"name": "openai", "url": endpoint_url, "dialect": "openai"},
                    {"name": "anthropic", "url": endpoint_url, "dialect": "anthropic"},
                ],
                "kafka": {"embedded": {"listen": "127.0.0.1:0"}},
                "clickhouse": {"embedded": {"listen": "127.0.0.1:0"}},
                "trail": {"origin": "localhost/penstock-demo", "checkpoint_every_s": 1},
                "policy": "policy.yaml",
                "state_dir": STATE,
            },
            sort_keys=False,
        )
    )
    settings = load_settings(config)
    make_secrets(settings)
    credentials = {team: f"sk-demo-{team}-{secrets.token_urlsafe(12)}" for team in TEAMS}
    _write_policy(settings, credentials)
    return config, credentials


def _write_policy(settings: Settings, credentials: dict[str, str]) -> None:
    pepper = read_secret("pepper", settings.secrets.pepper, settings.state).current
    keys = [
        {"id": f"{team}-key", "hash": key_hash(credential.encode(), pepper), "org": "example", "team": team}
        for team, credential in credentials.items()
    ]
    limits = [
        {
            "id": "tokens-a-day",
            "scope": f"team:{LIMITED}",
            "unit": "output_tokens",
            "amount": LIMIT_TOKENS,
            "window": "day",
        },
        {"id": "team-month", "scope": "team:*", "unit": "cost_usd", "amount": 500, "window": "calendar_month"},
    ]
    content = {"owner": {"name": "Demo", "contact": "demo@example.org"}, "version": "demo.1"}
    path = settings.policy_path
    assert path is not None
    path.write_text(yaml.safe_dump({**content, "limits": limits, "keys": keys}, sort_keys=False))
