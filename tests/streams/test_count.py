"""What is counted does not depend on frames, repeats or reads, and a cut stream keeps what was delivered apart."""

import gzip
import itertools
import json
import zlib
from collections.abc import Callable, Sequence

import brotli
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas import frames
from penstock.schemas.errors import EventError
from penstock.schemas.frames import Event, read_event
from penstock.streams.count import Birth, Exchange
from penstock.streams.settle import settle

from .scripts import T0_US, TAP, Talk

BIRTH = Birth(TAP, 1, 0, T0_US)


def exchange(*, prefix_unseen: bool = False, body_max_bytes: int = 1 << 20) -> Exchange:
    return Exchange("x", BIRTH, body_max_bytes, prefix_unseen=prefix_unseen)


def fed(events: Sequence[bytes], **given: bool | int) -> Exchange:
    found = exchange(**given)  # type: ignore[arg-type]
    for raw in events:
        found.feed(read_event(raw))
    return found


def test_the_prompt_is_counted_once_its_body_is_whole() -> None:
    talk = Talk()
    head, part = talk.prompt("one two three")
    found = fed([head])
    assert found.input is None
    found.feed(read_event(part))
    assert found.input is not None
    assert (found.input.tokens, found.input.source) == (3 + 3 + 1 + 3, "counted")
    assert (found.model, found.identity.team) == ("gpt-4o", "research")


def test_a_body_that_comes_in_pieces_waits_for_its_end() -> None:
    talk = Talk()
    head, part = talk.prompt("one two three")
    body = read_event(part).body
    talk.seq = 1
    pieces = [
        talk.write(frames.PROMPT, body[:20], origin=b"client", extra=b',"part":1'),
        talk.write(frames.PROMPT, body[20:], origin=b"client", extra=b',"part":2'),
    ]
    found = fed([head, pieces[0]])
    assert found.input is None
    found.feed(read_event(pieces[1]))
    assert found.input is not None and found.input.tokens == 10


def test_a_body_that_is_too_large_is_estimated_by_its_length() -> None:
    talk = Talk()
    found = fed([*talk.prompt("word " * 1000), talk.words(1)], body_max_bytes=1000)
    assert found.input is not None
    assert (found.input.source, found.input.method, found.input.tokens) == (
        "estimated",
        "bytes/4",
        found.request_bytes // 4,
    )


def test_withheld_words_are_counted_but_not_as_delivered() -> None:
    talk = Talk()
    events = [*talk.prompt(), talk.words(3), talk.words(2), talk.words(4, withheld=True)]
    ending = talk.write(frames.CHUNK, b'data: {"error":{"message":"five more words are here"}}\n\n', origin=b"tap")
    found = fed([*events, ending, talk.end("killed")])
    assert (found.output_tokens, found.delivered_tokens) == (9, 5)


def test_repeated_events_change_nothing() -> None:
    talk = Talk()
    events = [read_event(raw) for raw in [*talk.prompt(), talk.words(3), talk.words(2), talk.end()]]
    found = exchange()
    for index, event in enumerate(events):
        assert found.feed(event)
        assert not any(found.feed(earlier) for earlier in events[: index + 1])
    assert found.output_tokens == 5
    assert not found.holes


def test_a_missing_event_is_a_hole() -> None:
    talk = Talk()
    events = [*talk.prompt(), talk.words(3), talk.words(2)]
    assert fed(events[:2] + events[3:]).holes


def body_of(words: int) -> bytes:
    usage = {"prompt_tokens": 9, "completion_tokens": words, "total_tokens": 9 + words}
    message = {"role": "assistant", "content": " a" * words}
    content = {"object": "chat.completion", "model": "gpt-4o-2024-08-06", "choices": [{"index": 0, "message": message}]}
    return json.dumps({**content, "usage": usage}).encode()


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
    "gzip, br": lambda text: brotli.compress(gzip.compress(text)),
}


@pytest.mark.parametrize("told", ["with every read", "at the end"])
@pytest.mark.parametrize("encoding", CODINGS)
def test_a_whole_answer_is_read_at_its_end(encoding: str, told: str) -> None:
    talk = Talk()
    coding = encoding if told == "with every read" else ""
    body = CODINGS[encoding](body_of(7))
    events = [*talk.prompt(), chunk(talk, body[:30], coding), chunk(talk, body[30:], coding)]
    found = fed([*events, talk.end(content_encoding=encoding)])
    assert found.output_tokens == found.delivered_tokens == 7
    assert found.reply is not None and found.reply.usage[-1]["completion_tokens"] == 7


@pytest.mark.parametrize("coding", ["", "pack200-gzip"])
def test_an_answer_in_an_unknown_coding_is_known_by_its_length_alone(coding: str) -> None:
    talk = Talk()
    found = fed([*talk.prompt(), chunk(talk, b"\x00" * 40, coding), talk.end(content_encoding="pack200-gzip")])
    assert found.reply is not None
    assert (found.output_tokens, found.reply.unread_bytes) == (0, 40)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_whole_answer_that_is_damaged_is_known_by_its_length_alone(coding: str) -> None:
    talk = Talk()
    body = CODINGS[coding](body_of(7))[:-20] + b"damaged" * 9
    found = fed([*talk.prompt(), chunk(talk, body[:50], coding), chunk(talk, body[50:], coding), talk.end()])
    assert found.reply is not None
    assert found.output_tokens == 0
    assert found.reply.unread_bytes >= len(body)


def test_a_whole_answer_that_broke_off_is_known_by_its_length_alone() -> None:
    talk = Talk()
    body = body_of(7)[:-9]
    found = fed([*talk.prompt(), chunk(talk, body), talk.end()])
    assert found.reply is not None
    assert (found.output_tokens, found.reply.unread_bytes) == (0, len(body))


@pytest.mark.parametrize("encoding", [name for name in CODINGS if name])
def test_an_encoded_prompt_is_counted_as_what_it_says(encoding: str) -> None:
    plain, packed = Talk(), Talk()
    body = json.dumps(
        {"model": "gpt-4o", "messages": [{"role": "user", "content": "a question of words " * 200}]}
    ).encode()
    wanted = fed([*plain.prompt(body=body), plain.words(1)]).input
    found = fed([*packed.prompt(body=CODINGS[encoding](body), headers={"content-encoding": encoding}), packed.words(1)])
    assert found.input == wanted is not None
    assert (found.input.source, found.model) == ("counted", "gpt-4o")


def test_an_encoded_prompt_that_inflates_beyond_the_bound_is_an_estimate() -> None:
    talk = Talk()
    body = gzip.compress(b'{"messages":[]}' + b" " * 3_000_000)
    found = fed([*talk.prompt(body=body, headers={"content-encoding": "gzip"}), talk.words(1)])
    assert found.input is not None
    assert (found.input.tokens, found.input.method) == (len(body) // 4, "bytes/4")


def test_a_suffix_alone_is_read_by_what_its_chunks_look_like() -> None:
    talk = Talk(key="k9")
    talk.prompt()
    found = fed([talk.words(3), talk.words(2)], prefix_unseen=True)
    assert (found.output_tokens, found.identity.key_id) == (5, "k9")
    assert found.reply is not None and found.reply.reader.api == "openai.chat"


def test_a_prompt_head_that_cannot_be_read_is_an_event_error() -> None:
    bad = Talk().write(frames.PROMPT, b"{}", origin=b"client")
    with pytest.raises(EventError):
        exchange().feed(read_event(bad))


def state(found: Exchange) -> tuple[object, ...]:
    return found.input, found.output_tokens, found.delivered_tokens, found.chunk_count, found.last_seq


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=12), st.data())
def test_counts_do_not_depend_on_where_reads_and_events_were_cut(
    deltas: list[tuple[int, bool]], data: st.DataObject
) -> None:
    talk = Talk()
    prompt = talk.prompt()
    chunks = [talk.words(count) for count, _ in deltas]
    stream = b"".join(read_event(raw).body for raw in chunks)
    again = Talk()
    again.id = talk.id
    again.prompt()
    borders = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)) | {0, len(stream)})
    reads = [again.write(frames.CHUNK, stream[a:b]) for a, b in itertools.pairwise(borders)]
    one, other = fed([*prompt, *chunks, talk.end()]), fed([*prompt, *reads, again.end()])
    assert one.output_tokens == other.output_tokens == sum(count for count, _ in deltas)


@given(st.lists(st.integers(0, 11)))
def test_any_order_of_repeats_ends_in_the_same_state(indexes: list[int]) -> None:
    talk = Talk()
    events: list[Event] = [read_event(raw) for raw in [*talk.prompt(), *(talk.words(2) for _ in range(9)), talk.end()]]
    plain, repeated = exchange(), exchange()
    for event in events:
        plain.feed(event)
    reached = 0
    for index in [*indexes, *range(len(events))]:
        if index <= reached:
            repeated.feed(events[index])
            reached = max(reached, index + 1)
    assert state(plain) == state(repeated)


def chunk(talk: Talk, body: bytes, coding: str = "") -> bytes:
    return talk.write(frames.CHUNK, body, extra=b',"coding":"%b"' % coding.encode() if coding else b"")


def delta(text: str, **more: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}], **more}).encode() + b"\n\n"


@pytest.mark.parametrize(
    "before", [b"\xef\xbb\xbf", b"\n\n", b"\r\n\r\n", b": hello\n\n", b"odd: line\ndata: {}\n\n", b"\xef\xbb\xbf\n"]
)
def test_whatever_stands_before_it_a_stream_is_counted_as_it_comes(before: bytes) -> None:
    talk = Talk()
    found = fed([*talk.prompt(), chunk(talk, before), chunk(talk, delta(" a a")), chunk(talk, delta(" a"))])
    assert found.output_tokens == 3


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
@pytest.mark.parametrize("encoding", CODINGS)
def test_an_encoded_stream_is_counted_as_it_comes(encoding: str, size: int) -> None:
    talk = Talk()
    packed = CODINGS[encoding](b"".join(delta(" a") for _ in range(40)))
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    found = fed([*talk.prompt(), *(chunk(talk, piece, encoding) for piece in pieces)])
    assert found.output_tokens == 40
    found.feed(read_event(talk.end(content_encoding=encoding)))
    assert (found.output_tokens, found.reply and found.reply.unread_bytes) == (40, 0)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_stream_that_inflates_beyond_the_bound_is_read_no_further(coding: str) -> None:
    talk = Talk()
    first, bomb = delta(" a"), b":" * 5_000_000 + b"\n\n" + delta(" a")
    packed = CODINGS[coding](first + bomb)
    found = fed([*talk.prompt(), chunk(talk, packed[:64], coding), chunk(talk, packed[64:], coding)])
    assert found.reply is not None and found.reply.unread_bytes > 0
    found.feed(read_event(talk.end(content_encoding=coding)))
    assert found.output_tokens == 1


def test_an_event_that_is_too_large_leaves_an_estimate() -> None:
    talk = Talk()
    events, huge = [*talk.prompt(), chunk(talk, delta(" a"))], delta("x" * 300_000)
    events += [chunk(talk, huge[at : at + 50_000]) for at in range(0, len(huge), 50_000)]
    found = fed([*events, talk.end()], body_max_bytes=100_000)
    assert found.output_tokens == 1
    assert found.reply is not None and found.reply.unread_bytes > 190_000


def test_a_deployment_is_counted_by_the_model_that_answers() -> None:
    talk = Talk(model="our-deployment")
    found = fed([*talk.prompt(), chunk(talk, delta(" a", model="gpt-4o-2024-08-06"))])
    assert found.reply is not None and found.reply.method.name == "o200k_base"


def test_pieces_that_all_look_like_an_end_are_not_read_again_each_time() -> None:
    talk = Talk()
    head, _ = talk.prompt()
    found = fed([head])
    for part in range(1, 3000):
        found.feed(read_event(talk.write(frames.PROMPT, b'{"a":"}', origin=b"client", extra=b',"part":%d' % part)))
    assert found._tried_bytes > 7000


def test_a_completion_that_cannot_be_read_ends_its_exchange() -> None:
    talk = Talk()
    found = fed([*talk.prompt(), talk.words(3)])
    bad = talk.end().replace(b'\\"ended_at_us\\":', b'\\"ended_at_us\\":9999999999')
    with pytest.raises(EventError):
        found.feed(read_event(bad))
    assert found.completion is not None
    assert (found.completion.outcome, found.output_tokens) == ("tap_error", 3)


def test_an_end_from_the_journal_takes_its_figures_from_what_was_read() -> None:
    talk = Talk()
    events = [*talk.prompt("one two three"), talk.words(1), talk.words(2)]
    found = fed([*events, talk.end("tap_error", recovered=True, status=0, upstream_status=0)])
    completion = found.completion
    assert completion is not None
    assert completion.chunk_count == 2
    assert completion.response_bytes == sum(len(read_event(event).body) for event in events[2:])
    assert completion.request_bytes == len(read_event(events[1]).body)
    attribution = settle(found, completion, "v")
    assert (attribution.outcome, attribution.chunk_count, attribution.output.source) == ("tap_error", 2, "counted")
    assert attribution.output.tokens == 3


def test_an_end_from_the_journal_without_an_answer_is_charged_its_input() -> None:
    talk = Talk()
    found = fed([*talk.prompt("one two three"), talk.end("tap_error", recovered=True, status=0, upstream_status=0)])
    assert found.completion is not None
    assert settle(found, found.completion, "v").input.tokens == 10
