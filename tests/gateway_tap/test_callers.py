import pytest

from penstock.gateway_tap import callers
from penstock.gateway_tap.callers import Callers
from penstock.gateway_tap.identity import Keys, Trusted
from penstock.schemas.events import Identity
from penstock.schemas.keys import KeyRecord, key_hash

PEPPER = b"p" * 32
SECRET = b"sk-live-0123456789"
RECORD = KeyRecord(id="k1", hash=key_hash(SECRET, PEPPER), org="acme", team="research")


def made(*records: KeyRecord, trusted: tuple[str, ...] = ()) -> tuple[Callers, Keys]:
    keys = Keys(records)
    return Callers(keys, Trusted(trusted), PEPPER), keys


def test_a_caller_is_found_again_with_its_identity_and_scopes() -> None:
    found, _ = made(RECORD)
    first = found.find([SECRET], {}, "", 1)
    assert found.find([SECRET], {}, "", 2) is first
    assert Identity.model_validate_json(bytes(first.written)) == first.caller.identity
    assert first.scopes == ("key:k1", "org:acme", "team:research")


def test_what_is_remembered_holds_no_credential() -> None:
    found, _ = made(RECORD)
    found.find([SECRET], {}, "", 1)
    assert SECRET not in repr(found._known).encode() and SECRET not in b"".join(found._known)


def test_a_changed_key_is_seen_at_once() -> None:
    found, keys = made(RECORD)
    assert found.find([SECRET], {}, "", 1).caller.refused == ""
    keys.apply("k1", RECORD.model_copy(update={"state": "revoked"}))
    assert found.find([SECRET], {}, "", 1).caller.refused == "the key is revoked"
    keys.apply("k1", None)
    assert found.find([SECRET], {}, "", 1).caller.refused == ""


def test_a_key_that_expires_is_judged_each_time() -> None:
    found, _ = made(RECORD.model_copy(update={"expires_at_us": 10}))
    assert found.find([SECRET], {}, "", 9).caller.refused == ""
    assert found.find([SECRET], {}, "", 10).caller.refused == "the key has expired"


def test_claims_are_judged_each_time() -> None:
    found, _ = made(RECORD, trusted=("10.0.0.0/8",))
    claim = {b"x-penstock-team": b"gold"}
    assert found.find([SECRET], claim, "10.0.0.1", 1).caller.identity.team == "gold"
    assert found.find([SECRET], claim, "11.0.0.1", 1).caller.identity.team == "research"
    assert found.find([SECRET], {}, "10.0.0.1", 1).caller.identity.team == "research"


def test_credentials_do_not_run_into_each_other() -> None:
    found, _ = made(RECORD)
    one, other = found.find([b"ab", b"c"], {}, "", 1), found.find([b"a", b"bc"], {}, "", 1)
    assert one.caller.identity != other.caller.identity


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "REMEMBERED_MAX", 3)
    found, _ = made()
    for number in range(10):
        found.find([b"key-%d" % number], {}, "", 1)
    assert len(found._known) <= 3
