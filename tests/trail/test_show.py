"""One exchange as it was: byte for byte for programs, in words for people."""

import json

import pytest

from penstock.schemas.events import Completion
from penstock.trail.check_content import Content
from penstock.trail.leaf import printable
from penstock.trail.show import Body
from penstock.trail.show_text import PROMPT_CHARS, Facts, api_of, event_json, event_lines, fact_lines

from .deployment import AT_US, SSE, Deployment, at, replaced
from .rows import TOPIC

UPSTREAM = b"".join(SSE % number for number in range(6))
CLIENT = b"".join(SSE % number for number in range(5)) + b"data: [DONE]\n\n"


@pytest.mark.services
def test_each_side_is_given_byte_for_byte(deployment: Deployment) -> None:
    exchange = deployment.exchange()
    deployment.exchange()
    for flag, body in (
        ("--raw-response", UPSTREAM),
        ("--client-response", CLIENT),
        ("--raw-request", b'{"messages":[]}'),
    ):
        shown = deployment.penstock("show", exchange, flag)
        assert (shown.stdout, shown.returncode, shown.stderr) == (body, 0, b"")


@pytest.mark.services
def test_people_get_a_timeline_and_programs_json(deployment: Deployment) -> None:
    exchange = deployment.exchange()
    text = deployment.penstock("show", exchange[:30]).stdout.decode()
    assert f"exchange {exchange}" in text
    assert "word 3" in text
    assert "withheld  word 5" in text
    content = json.loads(deployment.penstock("show", exchange, "--json").stdout)
    assert content["exchange_id"] == exchange
    assert [event["seq"] for event in content["events"]] == list(range(10))
    assert content["events"][2]["data"].encode() == SSE % 0


@pytest.mark.services
def test_unknown_and_ambiguous_ids_and_bytes_that_are_not_all_there(deployment: Deployment) -> None:
    exchange, other = deployment.exchange(), deployment.exchange()
    assert deployment.penstock("show", "ffffffff").returncode == 1
    common = next(size for size in range(36) if exchange[size] != other[size])
    assert deployment.penstock("show", exchange[:common]).returncode == 2
    assert deployment.penstock("show", exchange, "--raw-request", "--json").returncode == 2
    deployment.alter(
        f"ALTER TABLE penstock.content DELETE WHERE exchange_id = '{exchange}' AND seq = 3 SETTINGS mutations_sync = 2"
    )
    torn = deployment.penstock("show", exchange, "--raw-response")
    assert torn.returncode == 1
    assert torn.stdout == UPSTREAM.replace(SSE % 1, b"")
    assert b"the tap saw" in torn.stderr


@pytest.mark.services
def test_content_that_was_altered_or_added_is_not_shown_as_recorded(deployment: Deployment) -> None:
    exchange = deployment.exchange()
    deployment.alter(replaced("content", at(1, 1), "'x/9' AS event_id, 'forged' AS body"))
    added = deployment.penstock("show", exchange, "--raw-response")
    assert (added.stdout, added.returncode) == (UPSTREAM, 1)
    assert b"event 4 at penstock.traffic.v1/0/1/1: " in added.stderr


def event(seq: int, kind: bytes, body: bytes, part: int = 0) -> Content:
    return Content(
        *(TOPIC, 0, seq, 0, b"x", seq, b"x/%d" % seq, kind, b"upstream", part, False, b"", False, b"", b""),
        *(body, b"s", AT_US + seq * 1500),
    )


def test_recorded_text_cannot_steer_a_terminal() -> None:
    assert printable("a\x1b[31m\u202eb\nc é") == "a\\x1b[31m\\u202eb\\nc é"
    lines = list(event_lines([event(0, b"prompt", b'{"api":"openai.chat"}'), event(1, b"prompt", b"\x1b]0;x\x07", 1)]))
    assert "\x1b" not in "".join(lines)


def test_an_answer_in_one_piece_is_read_as_a_whole() -> None:
    body = json.dumps({"choices": [{"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}]}).encode()
    lines = list(
        event_lines(
            [
                event(0, b"prompt", b'{"api":"openai.chat"}'),
                event(1, b"chunk", body[:20]),
                event(2, b"chunk", body[20:]),
                event(3, b"completion", b"{}"),
            ]
        )
    )
    assert lines[1].startswith("       1.5 ms      1 chunk")
    assert "hello" in lines[-1]


def test_a_long_prompt_is_cut_and_says_so() -> None:
    (line,) = event_lines([event(0, b"prompt", b"a" * (PROMPT_CHARS + 7))])
    assert line.endswith("a … 7 more")


def test_bytes_that_are_no_text_are_base64_in_json() -> None:
    assert event_json(event(0, b"chunk", b"\xff"))["data_base64"] == "/w=="


def test_an_unsettled_exchange_and_an_unknown_price_say_so() -> None:
    assert "not been settled" in "\n".join(fact_lines("x", Facts({}, {}, [])))
    used = {"input_tokens": 1, "input_source": "counted", "input_method": "o200k_base", "output_tokens": 2}
    used |= {"output_source": "reported", "output_method": "", "cost_usd": None}
    used |= dict.fromkeys(("cached_tokens", "cache_write_tokens", "reasoning_tokens"), 0)
    kill = {"scope": "exchange:x", "reason": "limit", "cut_ms": 1.25, "overshoot_tokens": 3}
    text = "\n".join(fact_lines("x", Facts({"model": "m"}, used, [kill])))
    assert "unknown: no price is known" in text
    assert "1 (counted, o200k_base)" in text
    assert "exchange:x: limit, 1.2 ms after the crossing; 3 tokens over" in text


def test_a_head_that_names_no_api_is_opaque() -> None:
    assert [api_of(body) for body in (b"", b"[]", b'{"api":"?"}', b'{"api":"embeddings"}')] == [
        *("opaque", "opaque", "opaque", "embeddings")
    ]


def test_an_end_from_the_journal_says_that_nothing_is_known_of_the_length() -> None:
    end = Completion(outcome="tap_error", status=0, recovered=True, started_at_us=1, ended_at_us=2)
    body = Body("raw-response")
    assert body.feed(event(1, b"chunk", b"some")) == b"some"
    body.feed(event(2, b"completion", end.model_dump_json().encode()))
    assert "this is what its journal held" in body.doubt()
