"""What a reader may name. The same list is tried on the engine itself in test_store.py."""

import pytest

from penstock.local.store_errors import StoreError
from penstock.local.store_guard import LOCAL_TABLE_FUNCTIONS, check_read, output_format

KNOWN = frozenset({"url", "file", "s3", "remote", "executable", "newlyInvented", "numbers", "view", "merge", "python"})


@pytest.mark.parametrize(
    "canonical",
    [
        "SELECT file('/etc/passwd')",
        "SELECT `file`('/etc/passwd')",
        "SELECT * APPLY file FROM (SELECT '/etc/passwd')",
        "SELECT arrayMap(file, ['/etc/passwd'])",
        "SELECT * FROM url('http://localhost/')",
        "SELECT * FROM `URL`('http://localhost/')",
        "DESCRIBE TABLE s3('x')",
        "SELECT * FROM newlyInvented('x')",
        "SELECT * FROM python(reader)",
        "SELECT 1 WHERE 1 IN (SELECT * FROM remote('h', 'd', 't'))",
        "SELECT 'it''s', file('x')",
        r"SELECT 'a\'', file('x')",
        "SELECT aiGenerate('c', 'x')",
    ],
)
def test_what_reaches_outside_is_refused(canonical: str) -> None:
    with pytest.raises(StoreError, match="can reach outside") as raised:
        check_read(canonical, {}, KNOWN)
    assert raised.value.status == 403


@pytest.mark.parametrize(
    "canonical",
    [
        "SELECT 'file(1)', \"url\" FROM numbers(3)",
        "SELECT url, s3 FROM penstock.events",
        "SELECT * FROM view(SELECT 1) AS `remote x`",
        r"SELECT 'a\' url(', count() FROM merge('penstock', '.*')",
        "SELECT {a:String}, {t:Identifier} FROM t",
    ],
)
def test_what_stays_inside_is_let_through(canonical: str) -> None:
    check_read(canonical, {"a": "file", "t": "events"}, KNOWN)


@pytest.mark.parametrize("value", ["file", "FILE", "`file`", "fi\\x6ce", "s3"])
def test_an_identifier_parameter_names_no_function(value: str) -> None:
    with pytest.raises(StoreError, match="Identifier"):
        check_read("SELECT arrayMap({f:Identifier}, ['/etc/passwd'])", {"f": value}, KNOWN)


def test_the_list_is_of_names_in_small_letters() -> None:
    assert all(name == name.lower() for name in LOCAL_TABLE_FUNCTIONS)


@pytest.mark.parametrize(
    ("canonical", "name"),
    [
        ("SELECT 1", None),
        ("SELECT 1 FORMAT JSON", "JSON"),
        ("SELECT 1 FORMAT JSON SETTINGS max_threads = 1", "JSON"),
        ("SELECT 'x FORMAT JSON'", None),
        ("SELECT format FROM t", None),
    ],
)
def test_the_format_of_a_statement_is_found(canonical: str, name: str | None) -> None:
    assert output_format(canonical) == name
