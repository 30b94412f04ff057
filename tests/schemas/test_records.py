"""CloudEvents in Kafka's binary binding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas.audit import TYPE, AuditEvent
from penstock.schemas.errors import EventError
from penstock.schemas.records import read_record, read_value, write_record

EVENT = AuditEvent(act="key_issued", subject="key:a", actor="cli:ada", at_us=1)


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_record_survives(id: str, subject: str) -> None:
    record = write_record(EVENT, id=id, type=TYPE, source="/cli", subject=subject, time_us=1_763_962_500_000_001)
    assert read_record(record.value, record.headers()) == record
    assert read_value(AuditEvent, record.value) == EVENT
    assert record.time == "2025-11-24T05:35:00.000001Z"
    assert len(record.salt) == 16


def test_salts_are_fresh() -> None:
    made = {write_record(EVENT, id="1", type=TYPE, source="/", subject="s", time_us=1).salt for _ in range(20)}
    assert len(made) == 20


@pytest.mark.parametrize("name", ["ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "ce_salt"])
def test_a_missing_or_broken_header_is_named(name: str) -> None:
    headers = write_record(EVENT, id="1", type=TYPE, source="/", subject="s", time_us=1).headers()
    with pytest.raises(EventError, match=name):
        read_record(b"{}", [(key, value) for key, value in headers if key != name])
    with pytest.raises(EventError):
        read_record(b"{}", [(key, b"\xff" if key == name else value) for key, value in headers])


def test_a_wrong_value_names_members_and_never_content() -> None:
    with pytest.raises(EventError, match="AuditEvent: act: literal_error") as caught:
        read_value(AuditEvent, b'{"act":"my secret","subject":"s","actor":"a","at_us":1}')
    assert "secret" not in str(caught.value)
    with pytest.raises(EventError):
        read_value(AuditEvent, None)
