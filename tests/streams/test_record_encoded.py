"""What encoded bodies say, as SQL reads it, through Kafka and the store."""

import gzip
import json
import subprocess
from collections.abc import Iterator

import brotli
import pytest

from penstock.schemas import frames, topics
from penstock.schemas.ids import new_exchange_id

from .running import Services
from .traffic import SALT_TEXT, headers

pytestmark = pytest.mark.services
ASKED = json.dumps({"model": "m", "messages": [{"role": "user", "content": "wörld?"}]}).encode()


def delta(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


def events(exchange: str) -> Iterator[bytes]:
    packed = brotli.compress(delta("Hel") + delta("lö") + b"data: [DONE]\n\n")
    bodies = [
        (frames.PROMPT, b"{}", b""),
        (frames.PROMPT, gzip.compress(ASKED), b',"part":1'),
        *((frames.CHUNK, packed[at : at + 20], b',"coding":"br"') for at in range(0, len(packed), 20)),
        (frames.COMPLETION, b'{"v":1,"content_encoding":"br","request_encoding":"gzip"}', b""),
    ]
    writer = frames.EventWriter(exchange, "/tap/t1", "key:k1")
    for seq, (kind, body, extra) in enumerate(bodies):
        yield writer.write(kind, seq, b"2026-11-24T00:00:00.000000Z", SALT_TEXT, body, extra=extra)


@pytest.fixture(scope="module")
def worker(services: Services) -> Iterator[subprocess.Popen[bytes]]:
    with services.worker() as process:
        yield process


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("frames_sent", [1, 3])
def test_encoded_bodies_are_read_by_sql(services: Services, frames_sent: int) -> None:
    written = list(events(exchange := new_exchange_id()))
    size = -(-len(written) // frames_sent)
    for number, start in enumerate(range(0, len(written), size)):
        value = frames.write_frame(written[start : start + size])
        services.produce(topics.TRAFFIC, [{"value": value, "partition": 1, "headers": list(headers(900 + number))}])
        count = f"SELECT count() FROM penstock.events_log WHERE exchange_id = '{exchange}'"
        services.until(count, min(start + size, len(written)))
    texts = services.query(
        f"SELECT dictGet('penstock.prompt_texts', 'prompt_text', tuple('{exchange}')), "
        f"dictGet('penstock.completion_texts', 'completion_text', tuple('{exchange}'))"
    )
    assert texts == [("wörld?", "Hellö")]
