import pytest

from penstock.gateway_tap.identity import Caller, Keys, Trusted, identify, scopes_of
from penstock.schemas.events import Identity
from penstock.schemas.keys import KeyRecord, key_hash, unknown_key_id

PEPPER = b"p" * 32
SECRET = b"sk-live-0123456789"
RECORD = KeyRecord(id="k1", hash=key_hash(SECRET, PEPPER), org="acme", team="research", user="ada")


def who(
    credentials: list[bytes],
    fields: dict[bytes, bytes] | None = None,
    *,
    keys: Keys | None = None,
    trusted: tuple[str, ...] = (),
    address: str = "10.0.0.9",
    now_us: int = 1,
) -> Caller:
    return identify(credentials, fields or {}, address, keys or Keys([RECORD]), Trusted(trusted), PEPPER, now_us)


def test_a_known_key_is_authenticated() -> None:
    identity = who([SECRET]).identity
    assert (identity.key_id, identity.team, identity.user, identity.authenticated) == ("k1", "research", "ada", True)


def test_an_unknown_key_is_charged_by_its_hash() -> None:
    identity = who([b"sk-other"]).identity
    assert identity.key_id == unknown_key_id(key_hash(b"sk-other", PEPPER))
    assert not identity.authenticated
    assert "sk-other" not in identity.model_dump_json()


def test_no_key_is_anonymous() -> None:
    assert who([]).identity == Identity(key_id="anonymous")


def test_the_first_known_credential_decides() -> None:
    assert who([b"cookie", SECRET]).identity.key_id == "k1"


def test_claims_are_kept_and_not_charged() -> None:
    fields = {b"x-penstock-team": b"gold\x07", b"openai-organization": b"org-1", b"x-penstock-user": b"u" * 300}
    identity = who([SECRET], fields).identity
    assert identity.claimed == {"team": "gold", "openai-organization": "org-1", "user": "u" * 128}
    assert (identity.team, identity.user) == ("research", "ada")


@pytest.mark.parametrize(
    ("trusted", "address", "charged"),
    [
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
        (("10.0.0.0/8",), "192.168.0.1", False),
        (("10.0.0.0/8",), "", False),
        (("k1",), "192.168.0.1", True),
        (("key:k1",), "192.168.0.1", True),
        (("k2",), "192.168.0.1", False),
    ],
)
def test_claims_are_charged_from_trusted_callers(trusted: tuple[str, ...], address: str, charged: bool) -> None:
    caller = who([SECRET], {b"x-penstock-team": b"gold"}, trusted=trusted, address=address)
    assert caller.identity.team == ("gold" if charged else "research")


def test_claims_without_a_credential_are_anonymous_claims() -> None:
    identity = who([], {b"x-penstock-app": b"helpdesk"}, trusted=("10.0.0.9/32",)).identity
    assert (identity.key_id, identity.app, identity.authenticated) == ("anonymous", "helpdesk", False)


def test_revoked_and_expired_keys_say_so() -> None:
    revoked = RECORD.model_copy(update={"state": "revoked"})
    expired = RECORD.model_copy(update={"expires_at_us": 100})
    assert who([SECRET], keys=Keys([revoked])).refused == "the key is revoked"
    assert who([SECRET], keys=Keys([expired]), now_us=100).refused == "the key has expired"
    assert who([SECRET], keys=Keys([expired]), now_us=99).refused == ""


def test_a_record_of_the_topic_wins_over_the_policy() -> None:
    keys = Keys([RECORD])
    keys.apply("k1", RECORD.model_copy(update={"state": "revoked"}))
    assert who([SECRET], keys=keys).refused
    keys.apply("k1", None)
    assert not who([SECRET], keys=keys).refused
    keys.apply("k9", RECORD.model_copy(update={"id": "k9", "team": "other"}))
    assert who([SECRET], keys=keys).identity.team == "other"


def test_scopes_name_everything_that_can_be_closed() -> None:
    identity = Identity(key_id="k1", org="o", team="t", app="a", user="u", service_account="s")
    assert scopes_of(identity, "gpt-4o") == ["key:k1", "org:o", "team:t", "app:a", "user:u", "sa:s", "model:gpt-4o"]
    assert scopes_of(Identity(key_id="anonymous"), "") == ["key:anonymous"]
