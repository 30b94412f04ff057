"""CloudEvents 1.0 in Kafka's binary binding: every topic but traffic carries one event per record.

Attributes stand in headers `ce_<name>`, the data is the value, `content-type` is application/json
(CloudEvents Kafka protocol binding 1.0.2, section 3.2). Our extensions: `ce_exchangeid`, `ce_salt` (base64),
`ce_partitionkey`. A tombstone of a compacted topic has no value and no headers.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from . import ids
from .errors import EventError
from .events import Contract

Headers = Sequence[tuple[str, bytes]]
Model = TypeVar("Model", bound=Contract)


@dataclass(frozen=True, slots=True)
class Record:
    """One event of a topic other than traffic. `subject` is what it is about; `exchange_id` may be empty."""

    id: str
    type: str
    source: str
    subject: str
    time: str
    exchange_id: str
    salt: bytes
    value: bytes

    def headers(self) -> list[tuple[str, bytes]]:
        """The Kafka headers of this record."""
        return [
            ("ce_specversion", b"1.0"),
            ("ce_id", self.id.encode()),
            ("ce_type", self.type.encode()),
            ("ce_source", self.source.encode()),
            ("ce_subject", self.subject.encode()),
            ("ce_time", self.time.encode()),
            ("ce_exchangeid", self.exchange_id.encode()),
            ("ce_salt", base64.b64encode(self.salt)),
            ("content-type", b"application/json"),
        ]


def write_record(
    model: Contract,
    *,
    id: str,
    type: str,
    source: str,
    subject: str,
    time_us: int,
    exchange_id: str = "",
) -> Record:
    """A record of `model`, with a fresh salt."""
    return Record(
        id=id,
        type=type,
        source=source,
        subject=subject,
        time=ids.rfc3339(time_us),
        exchange_id=exchange_id,
        salt=ids.new_salt(),
        value=model.model_dump_json().encode(),
    )


def read_record(value: bytes | None, headers: Headers) -> Record:
    """The record that a Kafka message carries. EventError where an attribute is missing or wrong."""
    found = {name: content for name, content in headers if name.startswith("ce_")}
    try:
        return Record(
            id=found["ce_id"].decode(),
            type=found["ce_type"].decode(),
            source=found["ce_source"].decode(),
            subject=found["ce_subject"].decode(),
            time=_time(found["ce_time"].decode()),
            exchange_id=found.get("ce_exchangeid", b"").decode(),
            salt=base64.b64decode(found["ce_salt"], validate=True),
            value=value if value is not None else b"",
        )
    except KeyError as error:
        raise EventError(f"the record has no header {error.args[0]}") from error
    except ValueError as error:
        raise EventError(f"a header cannot be read: {error}") from error


def read_value(model: type[Model], value: bytes | None) -> Model:
    """`value` as `model`. EventError names the members that are wrong, never what they hold."""
    try:
        return model.model_validate_json(value or b"")
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['type']}" for e in error.errors()[:5])
        raise EventError(f"not a {model.__name__}: {places}") from error


def _time(text: str) -> str:
    ids.parse_rfc3339(text)
    return text
