"""An administrator of the store who wants SQL to show other texts than those that encoded bodies say."""

import base64
import gzip
import json

import pytest

from penstock.schemas import frames, ids

from .deployment import AT_US, TRAFFIC, Deployment, replaced

pytestmark = pytest.mark.services
REPLY = b"data: one\n\ndata: two\n\n"


def encoded(exchange: str) -> list[bytes]:
    """An exchange with an encoded answer in three reads."""
    writer = frames.EventWriter(exchange, "/tap/t1", "key:k1")
    packed = gzip.compress(REPLY)
    end = json.dumps({"v": 1, "content_encoding": "gzip", "response_bytes": len(packed)}).encode()
    parts = [(frames.PROMPT, b"{}", b""), (frames.PROMPT, b'{"messages":[]}', b',"part":1')]
    parts += [(frames.CHUNK, packed[at : at + 20], b',"coding":"gzip"') for at in range(0, len(packed), 20)]
    parts.append((frames.COMPLETION, end, b""))
    salt = base64.b64encode(ids.new_salt())
    return [
        writer.write(kind, seq, ids.rfc3339(AT_US + seq).encode(), salt, body, extra=extra)
        for seq, (kind, body, extra) in enumerate(parts)
    ]


@pytest.fixture
async def told(deployment: Deployment) -> Deployment:
    """One encoded exchange over two frames, one that is not; sealed."""
    events = encoded("x0")
    deployment.record(deployment.frame(events[:3]))
    deployment.record(deployment.frame(events[3:]))
    deployment.exchange()
    await deployment.seal()
    return deployment


async def test_what_record_wrote_is_what_the_bodies_say(told: Deployment) -> None:
    assert told.ask("SELECT kind, body FROM penstock.decoded FINAL ORDER BY seq") == [
        ("chunk", "data: one\n\n"),
        ("chunk", "data: two\n\n"),
    ]
    report = await told.verify()
    assert report.ok, report.faults
    assert report.copies == 2


@pytest.mark.parametrize("change", ["'data: lie' AS body", "'prompt' AS kind", "toUInt32(7) AS seq"])
async def test_an_altered_or_added_text_is_named_with_its_end(told: Deployment, change: str) -> None:
    told.alter(replaced("decoded", "exchange_id = 'x0' AND seq = 1", change))
    assert await told.faults() == [("copy", f"{TRAFFIC}/0/1/{len(encoded('x0')) - 4}")]


async def test_a_text_of_a_body_that_was_not_encoded_is_named(told: Deployment) -> None:
    (exchange,) = told.ask("SELECT DISTINCT exchange_id FROM penstock.content WHERE exchange_id != 'x0'")[0]
    told.alter(replaced("decoded", "exchange_id = 'x0' AND seq = 1", f"'{exchange}' AS exchange_id"))
    ((kind, where),) = await told.faults()
    assert kind == "copy"
    assert where.startswith(f"{TRAFFIC}/0/")


async def test_a_text_of_no_exchange_is_named(told: Deployment) -> None:
    told.alter(replaced("decoded", "seq = 1", "'nobody' AS exchange_id"))
    assert await told.faults() == [("copy", "decoded nobody")]


async def test_texts_that_are_gone_hide_nothing(told: Deployment) -> None:
    told.alter("TRUNCATE TABLE penstock.decoded")
    assert await told.faults() == []
