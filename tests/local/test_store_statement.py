"""Where a statement ends and its data begins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.local.store_errors import StoreError
from penstock.local.store_statement import HEAD_MAX_BYTES, Insert, Text, first_word, read_statement


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        ("INSERT INTO t FORMAT Native", b"\n\x01", Insert("INSERT INTO t", "Native", b"\n\x01")),
        (
            "insert into p.t (a, `b c`) format JSONEachRow",
            b"{}",
            Insert("insert into p.t (a, `b c`)", "JSONEachRow", b"{}"),
        ),
        ("", b"INSERT INTO p.t FORMAT TSV\n1\t2\n", Insert("INSERT INTO p.t", "TSV", b"1\t2\n")),
        ("", b"INSERT INTO t VALUES (1, 'x;')", Insert("INSERT INTO t", "Values", b" (1, 'x;')")),
        ("INSERT INTO t VALUES (1)", b"", Insert("INSERT INTO t", "Values", b"(1)\n")),
        ("INSERT INTO t", b"FORMAT CSV\n1", Insert("INSERT INTO t", "CSV", b"1")),
        ("-- why\n/* x */ INSERT INTO t FORMAT CSV", b"1", Insert("INSERT INTO t", "CSV", b"1")),
        ('INSERT INTO TABLE `p`."t" (a.b) FORMAT CSV', b"", Insert('INSERT INTO TABLE `p`."t" (a.b)', "CSV", b"")),
    ],
)
def test_an_insert_is_split_from_its_data(query: str, body: bytes, expected: Insert) -> None:
    assert read_statement(query, body) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "INSERT INTO t SELECT 1",
        "INSERT INTO FUNCTION file('x') FORMAT CSV",
        "INSERT INTO TABLE FUNCTION url('x') FORMAT CSV",
        "INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        "INSERT INTO t SETTINGS async_insert = 1 FORMAT CSV",
        "INSERT INTO t (* EXCEPT(a)) FORMAT CSV",
        "/* INSERT INTO t FORMAT CSV */ DROP TABLE t",
        "WITH 1 AS x INSERT INTO t FORMAT CSV",
    ],
)
def test_anything_else_stays_one_text(sql: str) -> None:
    assert read_statement(sql, b"") == Text(sql)
    assert read_statement("", sql.encode()) == Text(sql)


def test_parameter_and_body_make_one_text() -> None:
    assert read_statement("SELECT", b"1") == Text("SELECT\n1")


@pytest.mark.parametrize(
    ("query", "body"), [("", b""), (" ", b"\n"), ("", b"\xff\xfe"), ("SELECT 1", b"x" * HEAD_MAX_BYTES)]
)
def test_what_is_no_statement_is_refused(query: str, body: bytes) -> None:
    with pytest.raises(StoreError) as raised:
        read_statement(query, body)
    assert (raised.value.code, raised.value.status) == (62, 400)


@pytest.mark.parametrize(
    ("text", "word"), [(b"", ""), (b"  -- a\n select", "SELECT"), (b"/*", ""), (b"#! x\nset", "SET")]
)
def test_the_first_word_is_found_behind_comments(text: bytes, word: str) -> None:
    assert first_word(text) == word


@given(st.text(max_size=60), st.binary(max_size=200))
def test_any_request_is_read_or_refused(query: str, body: bytes) -> None:
    try:
        found = read_statement(query, body)
    except StoreError as error:
        assert error.code == 62
        return
    assert isinstance(found, Insert | Text)


@given(st.binary(max_size=300))
def test_no_byte_of_the_data_is_lost(data: bytes) -> None:
    found = read_statement("INSERT INTO t FORMAT RowBinary", data)
    assert isinstance(found, Insert) and found.data == data
