"""policy.yaml: what it may say, and how a mistake is explained."""

from decimal import Decimal
from pathlib import Path

import pytest

from penstock.schemas.errors import PolicyError
from penstock.schemas.policy import Policy, load_policy, policy_digest

HEAD = "owner: {name: AI Platform, contact: ai@example.org}\nversion: 2026-11-23.1\n"
HASH = "hmac-sha256:" + "0" * 64


def load(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    return load_policy(path)


def test_a_policy(tmp_path: Path) -> None:
    limit = "limits: [{id: m, scope: 'team:*', unit: cost_usd, amount: 0.1, window: day, timezone: Europe/Berlin}]\n"
    policy = load(tmp_path, HEAD + limit)
    assert policy.limits[0].amount == Decimal("0.1")
    assert policy.limits[0].kind == "hard"
    assert len(policy_digest(tmp_path / "policy.yaml")) == 64
    assert load_policy(None) == Policy.nothing()


def test_a_version_may_look_like_a_number(tmp_path: Path) -> None:
    assert load(tmp_path, HEAD.replace("2026-11-23.1", "7")).version == "7"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- a list", "mapping that starts with `owner:`"),
        ("owner: [", "not YAML"),
        ("version: 1", "owner: this key is needed"),
        (HEAD + "limit: []", "limit: there is no such key"),
        (
            HEAD + "limits: [{id: a, scope: squad:x, unit: requests, amount: 1}]",
            "limits.0.scope: 'squad:x' is no scope",
        ),
        (HEAD + "limits: [{id: a, scope: 'team:', unit: requests, amount: 1}]", "is no scope"),
        (HEAD + "limits: [{id: a, scope: 'team:x', unit: requests, amount: 0}]", "limits.0.amount"),
        (HEAD + "limits: [{id: a, scope: 'team:x', unit: requests, amount: 1.5}]", "whole numbers, not 1.5"),
        (HEAD + "limits: [{id: a, scope: 'exchange:*', unit: requests, amount: 1, window: day}]", "window: total"),
        (HEAD + "limits: [{id: a, scope: 'team:x', unit: requests, amount: 1, timezone: Mars}]", "no time zone name"),
        (
            HEAD + "limits: [{id: a, scope: 'team:x', unit: requests, amount: 1}, "
            "{id: a, scope: 'team:y', unit: requests, amount: 1}]",
            "limits: id 'a' stands twice",
        ),
        (HEAD + "keys: [{id: a, hash: plain}]", "keys.0.hash"),
        (
            HEAD + f"keys: [{{id: a, hash: '{HASH}'}}, {{id: b, hash: '{HASH}'}}]",
            "'a' and 'b' have one hash",
        ),
        (HEAD + "limits: []\nkeys: []\nlimits: []", "in line 5, column 1: 'limits' stands twice"),
        (HEAD.replace("2026-11-23.1", "2026-11-23"), "version: write it in quotes"),
        (HEAD.replace("2026-11-23.1", "1.10"), "version: write it in quotes"),
    ],
)
def test_mistakes_name_file_and_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(tmp_path, text)
    assert complaint in str(caught.value)
    assert "policy.yaml" in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_bytes(b"owner: \xff\x80")
    with pytest.raises(PolicyError, match=r"policy.yaml: not YAML: invalid"):
        load_policy(tmp_path / "policy.yaml")


def test_an_absent_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="remove `policy:`"):
        load_policy(tmp_path / "absent.yaml")
