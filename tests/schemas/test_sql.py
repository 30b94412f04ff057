"""The views say what people read, on the engine that `penstock up` runs, from rows as `record` writes them."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import clickhouse_connect
import pytest

from penstock.schemas.addresses import clickhouse_client
from penstock.schemas.settings import Settings
from penstock.trail.migrate import migrate, migrations

pytestmark = pytest.mark.services


class Writer:
    """Writes rows of one exchange, and reads its view."""

    def __init__(self, client: Any) -> None:
        self.client, self.exchange, self.next = client, str(uuid.uuid4()), 0

    def content(self, kind: str, body: bytes, **more: Any) -> None:
        row = {
            "exchange_id": self.exchange,
            "seq": self.next,
            "event_id": f"{self.exchange}/{self.next}",
            "topic": "penstock.traffic.v1",
            "offset": self.next,
            "kind": kind,
            "origin": "client" if kind == "prompt" else "upstream",
            "part": self.next if kind == "prompt" else 0,
            "body": body,
            **more,
        }
        self.client.insert("penstock.content", [list(row.values())], column_names=list(row))
        self.next += 1

    def prompt(self, *parts: bytes) -> None:
        for part in (b'{"head":1}', *parts):
            self.content("prompt", part)

    def facts(self, **more: Any) -> None:
        row = {"exchange_id": self.exchange, "started_at": 1, "org": "o", "team": "t", **more}
        self.client.insert("penstock.exchange_facts", [list(row.values())], column_names=list(row))

    def read(self, *columns: str) -> tuple[Any, ...]:
        names = ", ".join(columns)
        rows = self.client.query(f"SELECT {names} FROM penstock.exchanges WHERE exchange_id = '{self.exchange}'")
        (row,) = rows.result_rows
        return tuple(row)


@pytest.fixture
def writer(store_settings: Settings) -> Iterator[Writer]:
    migrate(store_settings)
    client = clickhouse_connect.get_client(**clickhouse_client(store_settings, "writer"))
    yield Writer(client)
    client.close()


def chat(text: str, index: int = 0, end: bytes = b"\n\n") -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": index, "delta": {"content": text}}]}).encode() + end


def test_migrations_are_numbered_densely() -> None:
    assert [migration.version for migration in migrations()] == list(range(1, len(migrations()) + 1))


def test_facts_written_twice_are_one_row(writer: Writer) -> None:
    for _ in range(2):
        writer.facts(input_tokens=7)
    assert writer.read("team", "input_tokens", "violation_count", "prompt_text", "completion_text") == (
        "t",
        7,
        0,
        "",
        "",
    )


def test_an_exchange_is_found_by_its_trace(writer: Writer) -> None:
    trace = uuid.uuid4().hex
    writer.facts(trace_id=trace, span_id="b7ad6b7169203331", parent_span_id="00f067aa0ba902b7")
    rows = writer.client.query(
        f"SELECT exchange_id, span_id, parent_span_id FROM penstock.exchanges WHERE trace_id = '{trace}'"
    ).result_rows
    assert rows == [(writer.exchange, "b7ad6b7169203331", "00f067aa0ba902b7")]


def test_a_prompt_is_its_messages_joined_over_parts(writer: Writer) -> None:
    pieces = [{"type": "text", "text": "two"}, {"type": "image_url", "image_url": {"url": "x"}}]
    messages = [{"role": "system", "content": "öne"}, {"role": "user", "content": pieces}]
    body = json.dumps({"model": "m", "messages": messages}, ensure_ascii=False).encode()
    writer.prompt(body[:50], body[50:])
    writer.facts()
    assert writer.read("prompt_text") == ("öne\ntwo\n",)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"system":"be kind","messages":[{"role":"user","content":"hi"}]}', "be kind\nhi"),
        (b'{"system":[{"type":"text","text":"be kind"}],"messages":[]}', "be kind"),
        (b'{"prompt":"once"}', "once"),
        (b'{"input":"embed me"}', "embed me"),
        (b'{"messages":[{"role":"assistant","content":null},{"role":"user","content":"go"}]}', "go"),
        (
            b'{"systemInstruction":{"parts":[{"text":"be kind"}]},"contents":[{"parts":[{"text":"hi"},{"file":{}}]}]}',
            "be kind\nhi",
        ),
        (b'{"system_instruction":{"parts":[{"text":"be"}]},"contents":[]}', "be"),
        (b"plain words", "plain words"),
        (b'{"other":1}', '{"other":1}'),
    ],
)
def test_a_prompt_of_any_api_is_readable(writer: Writer, body: bytes, text: str) -> None:
    writer.prompt(body)
    writer.facts()
    assert writer.read("prompt_text") == (text,)


def test_a_stream_is_its_deltas_joined(writer: Writer) -> None:
    silent = b'data: {"choices":[{"index":0,"delta":{"content":null,"tool_calls":[]}}]}\n\n'
    for event in (chat("Hel"), silent, chat("lo\n", end=b"\r\n\r\n"), chat(" wörld", end=b"\r\r"), b"data: [DONE]\n\n"):
        writer.content("chunk", event)
    writer.facts()
    assert writer.read("completion_text") == ("Hello\n wörld",)


def test_decoded_texts_are_read_in_place_of_what_came(writer: Writer) -> None:
    writer.prompt(b"\x1f\x8bpacked")
    writer.content("chunk", b"\x1f\x8bmore\n\ndata: {}")
    rows = [
        ("prompt", b'{"messages":[{"content":'),
        ("prompt", b'"hi"}]}'),
        ("chunk", chat("Hel")),
        ("chunk", chat("lo")),
    ]
    writer.client.insert(
        "penstock.decoded",
        [[writer.exchange, kind, seq, body] for seq, (kind, body) in enumerate(rows)] * 2,
        column_names=["exchange_id", "kind", "seq", "body"],
    )
    writer.facts()
    assert writer.read("prompt_text", "completion_text") == ("hi", "Hello")


def test_several_choices_come_one_after_another(writer: Writer) -> None:
    for event in (chat("a", 0), chat("x", 1), chat("b", 0), chat("y", 1)):
        writer.content("chunk", event)
    writer.facts()
    assert writer.read("completion_text") == ("abxy",)


def test_an_anthropic_stream_is_its_text_deltas(writer: Writer) -> None:
    for delta in ({"type": "text_delta", "text": "Bon"}, {"type": "input_json_delta", "partial_json": "{"}):
        data = json.dumps({"type": "content_block_delta", "index": 0, "delta": delta}).encode()
        writer.content("chunk", b"event: content_block_delta\ndata: " + data + b"\n\n")
    writer.facts()
    assert writer.read("completion_text") == ("Bon",)


GEMINI = [{"text": "hm", "thought": True}], [{"text": "Gu"}], [{"functionCall": {"name": "f"}}, {"text": "te [,"}]


def test_gemini_is_its_candidates_as_events_and_as_an_array(writer: Writer) -> None:
    said = [json.dumps({"candidates": [{"content": {"parts": parts}, "index": 0}]}).encode() for parts in GEMINI]
    for one in said:
        writer.content("chunk", b"data: " + one + b"\r\n\r\n")
    writer.facts()
    assert writer.read("completion_text") == ("Gute [,",)
    for end in (b"\n]", b""):
        array = Writer(writer.client)
        for number, one in enumerate(said):
            array.content("chunk", (b",\r\n" if number else b" [") + one)
        if end:
            array.content("chunk", end)
        array.facts()
        assert array.read("completion_text") == ("Gute [,",)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([b'{"choices":[{"message":{"content":"one', b' two"}},{"message":{"content":"!"}}]}'], "one two!"),
        ([b'{"choices":[{"text":"once"}]}'], "once"),
        ([b'{"type":"message","content":[{"type":"text","text":"an"},{"type":"text","text":"th"}]}'], "anth"),
        ([b'{"choices":[{"message":{"content":null,"tool_calls":[]}}]}'], ""),
        (
            [
                b'{"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"text":"a"},{"text":"b"}]}},{"index":1}]}'
            ],
            "ab",
        ),
        ([b'{"candidates":[{"content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]}}]}'], "ab"),
        ([b"\x1f\x8b\x00\xff"], ""),
    ],
)
def test_an_answer_that_is_no_stream_is_its_content(writer: Writer, parts: list[bytes], text: str) -> None:
    for part in parts:
        writer.content("chunk", part)
    writer.facts()
    assert writer.read("completion_text") == (text,)


def test_second_copies_and_the_taps_own_words_are_left_out(writer: Writer) -> None:
    writer.content("chunk", chat("said"))
    writer.content("chunk", chat("twice"), duplicate=True)
    writer.content("chunk", chat("ended by the tap"), origin="tap")
    writer.content("chunk", chat(" again"))
    writer.facts()
    assert writer.read("completion_text") == ("said again",)


def test_violations_are_counted_once_each(writer: Writer) -> None:
    for violation in ("v1", "v1", "v2"):
        row = [violation, writer.exchange, (0, 1)]
        writer.client.insert("penstock.violations", [row], column_names=["violation_id", "exchange_id", "span"])
    writer.facts()
    assert writer.read("violation_count") == (2,)


def test_events_written_twice_are_one_row(writer: Writer) -> None:
    columns = ["topic", "partition", "offset", "frame_index", "event_id", "exchange_id", "commitment"]
    row = ["test.topic", 0, uuid.uuid4().int >> 68, 0, "e", writer.exchange, b"c" * 32]
    for _ in range(2):
        writer.client.insert("penstock.events_log", [row], column_names=columns)
    found = writer.client.query(f"SELECT count() FROM penstock.events WHERE exchange_id = '{writer.exchange}'")
    assert found.result_rows == [(1,)]


def test_facts_are_read_without_opening_content(writer: Writer) -> None:
    plan = writer.client.query("EXPLAIN SELECT sum(cost_usd) FROM penstock.exchanges").result_rows
    tables = [row[0] for row in plan if "ReadFrom" in row[0]]
    assert len(tables) == 1
    assert "exchange_facts" in tables[0]
