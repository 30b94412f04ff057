"""Accounts: who a user and a password are."""

import base64

import pytest

from penstock.local.store_errors import StoreError
from penstock.local.store_roles import ROLES, Accounts, credentials_in


def test_each_role_has_a_user_and_a_password_of_its_own() -> None:
    accounts = Accounts.fresh()
    published = accounts.published()
    assert len({entry["password"] for entry in published.values()}) == 3
    for role in ROLES:
        assert accounts.role_of(published[role]["user"], published[role]["password"]) == role
    assert not any(entry["password"] in repr(accounts) for entry in published.values())


@pytest.mark.parametrize("password", ["", "wrong", "ümläut"])
@pytest.mark.parametrize("user", ["", "default", "penstock_admin", "penstock_reader"])
def test_anything_else_is_nobody(user: str, password: str) -> None:
    with pytest.raises(StoreError) as raised:
        Accounts.fresh().role_of(user, password)
    assert (raised.value.code, raised.value.status) == (516, 401)


def test_a_password_of_one_role_opens_no_other() -> None:
    accounts = Accounts.fresh()
    with pytest.raises(StoreError):
        accounts.role_of("penstock_admin", accounts.passwords["reader"])


def test_accounts_are_kept_as_text() -> None:
    accounts = Accounts.fresh()
    assert Accounts.parse(accounts.text()) == accounts
    for text in ("", "[]", "{}", '{"admin": ""}'):
        with pytest.raises(ValueError):
            Accounts.parse(text)


def test_credentials_are_taken_from_where_a_server_takes_them() -> None:
    basic = "Basic " + base64.b64encode(b"u:p:q").decode()
    assert credentials_in({"Authorization": basic}, {}) == ("u", "p:q")
    assert credentials_in({"X-ClickHouse-User": "u", "X-ClickHouse-Key": "p"}, {"user": "x"}) == ("u", "p")
    assert credentials_in({}, {"user": "u", "password": "p"}) == ("u", "p")
    assert credentials_in({}, {"query": "SELECT 1"}) is None


@pytest.mark.parametrize(
    "header", ["Bearer x", "Basic", "Basic !!", "Basic " + base64.b64encode(b"nocolon").decode(), ""]
)
def test_another_authorization_is_refused(header: str) -> None:
    with pytest.raises(StoreError):
        credentials_in({"Authorization": header}, {})
