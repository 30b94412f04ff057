"""policy.yaml: who owns the rules, and what they are (`load_policy`; `penstock policy check` prints what it says)."""

import hashlib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .errors import PolicyError
from .handwritten import not_yaml, read_yaml
from .keys import KeyRecord

ScopeKind = Literal["org", "team", "app", "user", "sa", "key", "model", "exchange"]
SCOPE_KINDS: tuple[ScopeKind, ...] = ("org", "team", "app", "user", "sa", "key", "model", "exchange")
Unit = Literal["input_tokens", "output_tokens", "total_tokens", "cost_usd", "requests"]
Window = Literal["minute", "hour", "day", "calendar_month", "total"]


class Strict(BaseModel):
    """Base of all that people write: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Owner(Strict):
    """Who answers for this policy."""

    name: Annotated[str, Field(min_length=1)]
    contact: Annotated[str, Field(min_length=1)]


class Limit(Strict):
    """What may be used, by whom, in which time. `scope` is `kind:id`; `*` as id: each one has a limit of its own."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    scope: str
    unit: Unit
    amount: Annotated[Decimal, Field(gt=0)]
    window: Window = "total"
    timezone: str = "UTC"
    kind: Literal["hard", "soft"] = "hard"

    @field_validator("scope")
    @classmethod
    def _scope(cls, value: str) -> str:
        return check_scope(value)

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is no time zone name such as Europe/Berlin") from error
        return value

    @model_validator(mode="after")
    def _fits(self) -> "Limit":
        if self.scope.startswith("exchange:") and self.window != "total":
            raise ValueError("an exchange has one window: write `window: total`")
        if self.unit != "cost_usd" and self.amount != self.amount.to_integral_value():
            raise ValueError(f"{self.unit} are whole numbers, not {self.amount}")
        return self


class Failures(Strict):
    """What happens when something behind the tap fails. In mode observe nothing is ever refused."""

    on_control_loss: Literal["allow", "deny_new", "deny_all"] = "allow"
    on_journal_full: Literal["drop_with_gap", "refuse", "wait"] = "drop_with_gap"
    on_unread_model: Literal["allow", "deny"] = "deny"
    on_verdict_timeout: Literal["allow", "deny"] = "allow"
    control_loss_after_s: Annotated[int, Field(ge=1)] = 30


class Usage(Strict):
    """`ask_providers`: streams of OpenAI's kind are asked for their usage where the client did not, and what only that
    brings is withheld from the client."""

    ask_providers: bool = False


class Policy(Strict):
    """The whole file. An absent file is `Policy.nothing()`: record everything, limit nothing."""

    owner: Owner
    version: Annotated[str, Field(min_length=1, max_length=64)]
    limits: tuple[Limit, ...] = ()
    keys: tuple[KeyRecord, ...] = ()
    usage: Usage = Usage()
    failures: Failures = Failures()

    @field_validator("version", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        if isinstance(value, bool | float | date):
            raise ValueError('write it in quotes, such as "2026-11-24": without them YAML reads more than text in it')
        return str(value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _unique(self) -> "Policy":
        for what, ids in (("limits", [x.id for x in self.limits]), ("keys", [x.id for x in self.keys])):
            doubled = sorted({x for x in ids if ids.count(x) > 1})
            if doubled:
                raise ValueError(f"{what}: id {doubled[0]!r} stands twice")
        owners: dict[str, str] = {}
        for key in self.keys:
            if owners.setdefault(key.hash, key.id) != key.id:
                raise ValueError(f"keys: {owners[key.hash]!r} and {key.id!r} have one hash: a credential is one key's")
        return self

    @classmethod
    def nothing(cls) -> "Policy":
        return cls(owner=Owner(name="nobody", contact="no policy file"), version="none")


def check_scope(value: str) -> str:
    """`value`, if it is a scope such as `team:research` or `key:*`; ValueError says what it should be."""
    kind, separator, name = value.partition(":")
    if not separator or kind not in SCOPE_KINDS or not name:
        raise ValueError(f"{value!r} is no scope: write one of {', '.join(SCOPE_KINDS)}, a colon, and an id or *")
    return value


def load_policy(path: Path | None) -> Policy:
    """The policy in `path`, or the empty one for None. PolicyError names file, place and remedy."""
    if path is None:
        return Policy.nothing()
    try:
        content = read_yaml(path)
    except OSError as error:
        raise PolicyError(
            f"{path}: cannot read the policy ({error.strerror}); remove `policy:` to run without one"
        ) from error
    except yaml.YAMLError as error:
        raise PolicyError(f"{path}: {not_yaml(error)}") from error
    if not isinstance(content, dict):
        raise PolicyError(f"{path}: a policy is a mapping that starts with `owner:` and `version:`")
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        raise PolicyError(f"{path}: " + "; ".join(explain(error))) from error


def policy_digest(path: Path) -> str:
    """SHA-256 of the file's bytes, hex: what `policy_changed` records beside the version."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def explain(error: ValidationError) -> list[str]:
    """One sentence per mistake: where it is, and what is wrong with it."""
    return [
        f"{'.'.join(map(str, e['loc'])) or 'file'}: {_WORDS.get(e['type'], e['msg'].removeprefix('Value error, '))}"
        for e in error.errors()
    ]


_WORDS = {"extra_forbidden": "there is no such key", "missing": "this key is needed"}
