"""No column of content can be altered unnoticed."""

import pytest

from penstock.trail.check_content import COLUMNS, Content, altered

from .rows import traffic

ROW, CONTENT = traffic(2)[1]
CHECKED = [name for name in Content._fields if name not in ("topic", "partition", "offset", "frame_index")]


def test_content_as_recorded_is_fine() -> None:
    assert altered(ROW, CONTENT) == ""


@pytest.mark.parametrize("name", CHECKED)
def test_any_altered_column_is_noticed(name: str) -> None:
    value = getattr(CONTENT, name)
    changed = not value if isinstance(value, bool) else value + (b"x" if isinstance(value, bytes) else 1)
    assert altered(ROW, CONTENT._replace(**{name: changed})) != ""


def test_text_that_does_not_decode_is_noticed() -> None:
    assert altered(ROW, CONTENT._replace(subject=b"\xff")) != ""


def test_columns_and_fields_are_the_same_list() -> None:
    assert len(COLUMNS.split(", ")) == len(Content._fields)
    assert not CONTENT.is_erased
    assert CONTENT._replace(body=b"", salt=b"").is_erased
