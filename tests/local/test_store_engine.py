"""What the roles may do, tried on the engine itself: a list of ways out, and none is open."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from penstock.local.store_guard import LOCAL_TABLE_FUNCTIONS, OUTSIDE_FUNCTIONS
from penstock.schemas.addresses import read_run_file
from penstock.schemas.settings import Settings

pytestmark = pytest.mark.services
Connect = Callable[..., Any]
Curl = Callable[..., tuple[int, str]]

ESCAPES = [
    "SELECT file('{file}')",
    "SELECT `fi\\x6ce`('{file}')",
    "SELECT * APPLY(file) FROM (SELECT '{file}')",
    "SELECT arrayMap(file, ['{file}'])",
    "SELECT arrayMap(x -> file(x), ['{file}'])",
    "WITH (x -> file(x)) AS f SELECT f('{file}')",
    "SELECT * FROM file('{file}', 'LineAsString')",
    "DESCRIBE file('{file}', 'LineAsString')",
    "SELECT * FROM url('{url}', 'LineAsString', 'a String')",
    "DESCRIBE url('{url}', 'CSV')",
    "SELECT * FROM s3('{url}b/k', 'CSV', 'a String')",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    "SELECT * FROM executable('cat', 'TSV', 'a String')",
    "SELECT * FROM Python(reader)",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "SELECT * FROM dictionary('x')",
    "SELECT 1 INTO OUTFILE '{file}.out'",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_execution_time = 0",
    "SET readonly = 0",
    "SELECT 1; DROP TABLE local_tests.t",
    "DROP TABLE local_tests.t",
    "ALTER TABLE local_tests.t DELETE WHERE 1",
    "ALTER TABLE local_tests.t UPDATE s = '' WHERE 1",
    "TRUNCATE TABLE local_tests.t",
    "OPTIMIZE TABLE local_tests.t FINAL",
    "RENAME TABLE local_tests.t TO local_tests.u",
    "CREATE TABLE local_tests.x (a Int8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE x (a Int8)",
    "CREATE USER x",
    "SYSTEM SHUTDOWN",
    "KILL QUERY WHERE 1",
    "BACKUP TABLE local_tests.t TO File('{file}')",
    "USE system",
    "INSERT INTO local_tests.t SELECT 1, file('{file}')",
    "INSERT INTO FUNCTION file('{file}.out', 'TSV', 'a Int8') VALUES (1)",
    "INSERT INTO local_tests.t FROM INFILE '{file}' FORMAT CSV",
    "INSERT INTO local_tests.t VALUES (1, file('{file}'))",
    "INSERT INTO local_tests.t VALUES (1, concat('a', file('{file}')))",
    "SELECT * FROM local_tests.t PARALLEL WITH DROP TABLE local_tests.t",
]


@pytest.mark.parametrize("escape", ESCAPES)
def test_no_way_out(limited: Any, admin: Any, tmp_path: Path, escape: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    statement = escape.replace("{file}", str(secret)).replace("{url}", "http://127.0.0.1:9/")
    with pytest.raises(DatabaseError) as raised:
        limited.raw_query(statement)
    assert "the secret" not in str(raised.value)
    assert list(tmp_path.iterdir()) == [secret]
    assert admin.command("SELECT count() FROM local_tests.t") == 1000


def test_an_identifier_parameter_is_no_way_out(limited: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the secret")
    with pytest.raises(DatabaseError):
        limited.raw_query("SELECT arrayMap({f:Identifier}, [{p:String}])", {"f": "file", "p": f"{tmp_path}/secret"})


def test_readers_and_get_write_nothing(store_client: Connect, curl: Curl, store_settings: Settings, admin: Any) -> None:
    reader = store_client("reader")
    with pytest.raises(DatabaseError, match="497"):
        reader.insert("local_tests.t", [[1, ""]], column_names=["a", "s"])
    entry = read_run_file(store_settings.run, "clickhouse")["admin"]
    given = ["-u", f"{entry['user']}:{entry['password']}"]
    assert curl(*given, path="/?query=DROP+TABLE+local_tests.t")[0] == 403
    assert curl(*given, path="/?query=INSERT+INTO+local_tests.t+FORMAT+TSV")[0] == 403


def test_what_the_engine_calls_by_name_is_known(admin: Any) -> None:
    """A new engine with a new function that reads files or calls out must be looked at here."""
    named = {
        row[0].lower()
        for row in admin.query(
            "SELECT name FROM system.functions WHERE origin = 'System' AND match(lower(name), "
            "'^ai|file$|^python|addressto|certificate|catboost|^exec|^url$|^s3|^remote')"
        ).result_rows
    }
    assert named <= OUTSIDE_FUNCTIONS, named - OUTSIDE_FUNCTIONS
    tables = {row[0].lower() for row in admin.query("SELECT name FROM system.table_functions").result_rows}
    assert tables >= LOCAL_TABLE_FUNCTIONS - {"timeseriesdata", "timeseriestags", "timeseriesmetrics"}


def test_dictionaries_over_local_tables_answer_readers(limited: Any, admin: Any) -> None:
    admin.command(
        "CREATE DICTIONARY IF NOT EXISTS local_tests.d (a UInt64, s String) PRIMARY KEY a "
        "SOURCE(CLICKHOUSE(DB 'local_tests' TABLE 't')) LAYOUT(FLAT()) LIFETIME(0)"
    )
    assert limited.command("SELECT dictGet('local_tests.d', 's', toUInt64(5))") == "row 5"
