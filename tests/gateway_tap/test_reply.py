import gzip

import pytest

from penstock.gateway_tap.reply import ReplyReader

PLAIN = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}],"usage":null}\n\n'


@pytest.mark.parametrize(
    ("event", "member", "value"),
    [
        (b'data: {"choices":[{"delta":{},"finish_reason": "stop"}]}\n\n', "finish_reason", "stop"),
        (b'data: {"choices":[],"usage" : {"prompt_tokens":1}}\n\n', "usage", [{"prompt_tokens": 1}]),
    ],
)
def test_what_tells_something_is_read_wherever_it_stands(event: bytes, member: str, value: object) -> None:
    reader = ReplyReader("openai.chat", True, "")
    for _ in range(20):
        reader.events([PLAIN])
    reader.events([event])
    reader.events([PLAIN, b"data: [DONE]\n\n"])
    assert reader.figures()[member] == value


def test_anthropic_says_its_usage_twice() -> None:
    reader = ReplyReader("anthropic.messages", True, "")
    delta = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"text":"a"}}\n\n'
    reader.events(
        [
            b'data: {"type":"message_start","message":{"id":"m","model":"c","usage":{"input_tokens":5}}}\n\n',
            *[delta] * 5,
            b'data: {"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":9}}\n\n',
        ]
    )
    figures = reader.figures()
    assert figures["usage"] == [{"input_tokens": 5}, {"output_tokens": 9}]
    assert (figures["finish_reason"], figures["model"], figures["response_id"]) == ("max_tokens", "c", "m")


def test_a_bomb_is_given_up() -> None:
    reader = ReplyReader("openai.chat", False, "gzip")
    reader.read(gzip.compress(b'{"model":"m"' + b" " * 50_000_000 + b"}"))
    reader.read(b"more")
    assert reader.figures()["model"] == ""
