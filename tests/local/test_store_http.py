"""The HTTP dialect as its users meet it: clickhouse-connect, sync and async, and curl."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from penstock.schemas.addresses import clickhouse_client, read_run_file
from penstock.schemas.settings import Settings

pytestmark = pytest.mark.services
Connect = Callable[..., Any]
Curl = Callable[..., tuple[int, str]]


def test_the_clients_reads_and_inserts_work(store_client: Connect, admin: Any) -> None:
    writer = store_client("writer")
    admin.command("CREATE TABLE local_tests.w (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
    assert writer.insert("local_tests.w", [[1, "it's\n\\"], [2, ""]], column_names=["a", "s"]).written_rows == 2
    writer.raw_insert("local_tests.w", ["a", "s"], b'{"a": 3, "s": "three"}', fmt="JSONEachRow")
    found = writer.query("SELECT s FROM local_tests.w WHERE s = {x:String}", parameters={"x": "it's\n\\"})
    assert found.result_rows == [("it's\n\\",)]
    assert (
        writer.query("SELECT * FROM local_tests.w WHERE a IN {a:Array(UInt64)}", parameters={"a": [2, 3]}).row_count
        == 2
    )
    with writer.query_row_block_stream("SELECT number FROM numbers(2000000)") as stream:
        assert sum(len(block) for block in stream) == 2_000_000


@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip", False])
def test_every_coding_of_the_client_works(store_client: Connect, admin: Any, compression: str | bool) -> None:
    client = store_client("admin", compress=compression)
    client.command("CREATE OR REPLACE TABLE local_tests.c (s String) ENGINE = MergeTree ORDER BY s")
    client.insert("local_tests.c", [["x" * 5000]] * 500, column_names=["s"])
    assert client.query("SELECT * FROM local_tests.c").row_count == 500
    assert len(client.raw_query("SELECT repeat('y', 300000) FROM numbers(10)", fmt="TSV")) == 10 * 300_001


async def test_many_readers_at_once(store_settings: Settings, admin: Any) -> None:
    client = await clickhouse_connect.get_async_client(**clickhouse_client(store_settings, "reader"))
    answers = await asyncio.gather(*(client.query(f"SELECT {i}, count() FROM local_tests.t") for i in range(40)))
    assert [answer.result_rows for answer in answers] == [[(i, 1000)] for i in range(40)]
    await client.close()


def test_curl_works(curl: Curl, store_settings: Settings, admin: Any) -> None:
    status, body = curl(path="/?query=SELECT+count()+FROM+local_tests.t+FORMAT+JSON")
    assert (status, json.loads(body)["data"]) == (200, [{"count()": 1000}])
    entry = read_run_file(store_settings.run, "clickhouse")["reader"]
    given = ["-H", f"X-ClickHouse-User: {entry['user']}", "-H", f"X-ClickHouse-Key: {entry['password']}"]
    assert curl(*given, "--data-binary", "SELECT 1") == (200, "1\n")
    assert curl("-u", f"{entry['user']}:{entry['password']}", "-d", "SELECT 2") == (200, "2\n")
    assert curl(path="/ping") == (200, "Ok.\n")
    assert curl(path="/")[0] == 200
    assert curl(path="/play")[0] == 404
    assert curl("-X", "DELETE")[0] == 405


def test_errors_have_a_servers_codes(curl: Curl, admin: Any) -> None:
    for query, status, code in (
        ("SELECT * FROM local_tests.nope", 404, 60),
        ("SELECTT 1 2", 400, 62),
        ("SELECT nope", 400, 47),
        ("DROP TABLE local_tests.t", 403, 497),
    ):
        answer = curl("--get", "--data-urlencode", f"query={query}")
        assert (answer[0], f"Code: {code}. " in answer[1]) == (status, True), answer


def test_strangers_and_pages_are_turned_away(curl: Curl, store_settings: Settings) -> None:
    path = "/?query=SELECT+1"
    assert curl(path=path) == (200, "1\n")
    for arguments in (
        ["-H", "Host: evil.example"],
        ["-H", "Origin: http://localhost:3000"],
        ["-H", "Sec-Fetch-Site: cross-site"],
    ):
        assert curl(*arguments, path=path)[0] == 403
    assert curl("-d", "SELECT 1")[0] == 401
    assert curl("-u", "penstock_reader:wrong", path=path)[0] == 401
    assert curl("-u", "default:", path=path)[0] == 401
    shown = subprocess.run(
        ["curl", "-s", "-i", f"{read_run_file(store_settings.run, 'clickhouse')['url']}{path}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.lower()
    assert "access-control" not in shown and "x-penstock-store: embedded" in shown


def test_answers_held_whole_are_bounded_and_pieces_are_not(store_client: Connect, curl: Curl, admin: Any) -> None:
    reader = store_client("reader")
    large = "SELECT repeat('x', 1000) FROM numbers(400000)"
    with pytest.raises(DatabaseError, match=r"TOO_MANY_ROWS_OR_BYTES|MEMORY_LIMIT"):
        reader.raw_query(large, fmt="JSON")
    with reader.raw_stream(large, fmt="TSV") as stream:
        assert sum(len(piece) for piece in iter(lambda: stream.read(1 << 20), b"")) == 400_000 * 1001
    path = "/?max_result_bytes=1000&query=SELECT+repeat('x',+1000)+FROM+numbers(400)"
    assert curl("-g", path=path)[1].startswith("Code: 396.")


def test_a_failure_in_the_middle_of_an_answer_is_an_error(store_client: Connect, admin: Any) -> None:
    reader = store_client("reader")
    with pytest.raises(Exception, match=r"(?i)incomplete|broken|chunk|395"):
        reader.raw_query("SELECT throwIf(number = 9000000), repeat('x', 10) FROM numbers(10000000)", fmt="TSV")
    assert reader.command("SELECT 1") == 1


def test_admins_sessions_keep_temporary_tables(store_client: Connect, admin: Any) -> None:
    client = store_client("admin", session_id="one")
    client.command("CREATE TEMPORARY TABLE kept (a UInt8)")
    client.command("INSERT INTO kept VALUES (7)")
    assert client.command("SELECT a FROM kept") == 7
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        admin.command("SELECT a FROM kept")
