"""Leaf bytes: two rows have the same only if they are the same row."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.trail.leaf import COLUMNS, Position, Row, leaf_bytes, row_hash, text

texts = st.binary(max_size=6)
digests = st.binary(min_size=32, max_size=32)
u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
rows = st.builds(
    Row, texts, u32, u64, u32, texts, texts, texts, u32, texts, i64, i64, digests, digests, texts, texts, u64, u64
)


@given(rows, rows)
def test_different_rows_have_different_bytes(one: Row, other: Row) -> None:
    assert (leaf_bytes(one) == leaf_bytes(other)) == (one == other)


@given(rows, st.sampled_from(Row._fields))
def test_every_column_counts(row: Row, name: str) -> None:
    assert row_hash(row._replace(**{name: changed(getattr(row, name))})) != row_hash(row)


def changed(value: int | bytes) -> int | bytes:
    if isinstance(value, int):
        return value ^ 1
    return bytes([value[0] ^ 1]) + value[1:] if value else b"x"


@given(texts, texts)
def test_text_does_not_flow_into_its_neighbour(one: bytes, other: bytes) -> None:
    row = Row(b"t", 0, 0, 0, one, other, b"k", 0, b"", 0, 0, bytes(32), bytes(32), b"", b"", 0, 0)
    moved = row._replace(event_id=one + other, exchange_id=b"")
    assert other == b"" or leaf_bytes(row) != leaf_bytes(moved)


def test_columns_and_fields_are_the_same_list() -> None:
    assert len(COLUMNS.split(", ")) == len(Row._fields)


def test_a_position_reads_as_topic_partition_offset_index_whatever_its_bytes() -> None:
    assert str(Position(b"a\xff", 1, 2, 3)) == "a\\xff/1/2/3"
    assert text("naïve".encode()) == "naïve"
