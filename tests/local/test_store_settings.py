"""Settings of a request: within bounds, and harmless unless admin asks."""

import pytest

from penstock.local.store_errors import StoreError
from penstock.local.store_settings import BOUNDS, OPEN_READS, assignment, quoted, settings_for


@pytest.mark.parametrize("name", ["readonly", "session_id", "param_x", "client_protocol_version", "query"])
def test_transport_is_no_setting(name: str) -> None:
    assert settings_for("reader", OPEN_READS, {name: "0"}) == settings_for("reader", OPEN_READS, {})


@pytest.mark.parametrize(
    ("asked", "got"), [("5", "5"), ("0", "60"), ("-1", "60"), ("61", "60"), ("nan", "60"), ("inf", "60")]
)
def test_a_bound_cannot_be_lifted(asked: str, got: str) -> None:
    assert settings_for("reader", OPEN_READS, {"max_execution_time": asked})["max_execution_time"] == got


@pytest.mark.parametrize(
    "name", ["format_schema", "input_format_values_interpret_expressions", "dialect", "log_comment"]
)
def test_a_reader_or_writer_changes_nothing_else(name: str) -> None:
    for role in ("reader", "writer"):
        with pytest.raises(StoreError, match=name) as raised:
            settings_for(role, BOUNDS[role], {name: "1"})
        assert (raised.value.code, raised.value.status) == (164, 403)
    assert settings_for("admin", BOUNDS["admin"], {name: "1"})[name] == "1"


@pytest.mark.parametrize("name", ["a b", "x;y", "", "1x", "ä"])
def test_a_name_is_a_name(name: str) -> None:
    with pytest.raises(StoreError, match="no name of a setting"):
        settings_for("admin", BOUNDS["admin"], {name: "1"})


def test_values_are_quoted() -> None:
    assert quoted("it's \\ \0") == r"'it\'s \\ \0'"
    assert assignment({"a": "1", "b": "x'"}) == r"SET a = '1', b = 'x\''"
    with pytest.raises(StoreError, match="needs a number"):
        settings_for("admin", BOUNDS["admin"], {"max_threads": "x"})
