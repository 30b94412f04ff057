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


def test_of_figures_that_come_with_every_event_the_last_are_kept() -> None:
    def event(said: int, more: str = "") -> bytes:
        usage = f'"usageMetadata":{{"promptTokenCount":5,"candidatesTokenCount":{said}}}'
        return f'data: {{"candidates":[{{"content":{{"parts":[{{"text":"a"}}]}}{more}}}],{usage}}}\r\n\r\n'.encode()

    cut = ReplyReader("gemini.generate", True, "")
    cut.events([event(number) for number in range(1, 40)])
    assert cut.figures()["usage"][-1] == {"promptTokenCount": 5, "candidatesTokenCount": 39}
    assert len(cut.figures()["usage"]) == 3
    whole = ReplyReader("gemini.generate", True, "")
    whole.events([event(number) for number in range(1, 40)])
    whole.events([event(40, ',"finishReason":"STOP"')])
    figures = whole.figures()
    assert figures["usage"][-1] == {"promptTokenCount": 5, "candidatesTokenCount": 40}
    assert figures["finish_reason"] == "STOP"


def test_figures_that_come_alone_are_read() -> None:
    last = b'data: {"usageMetadata":{"promptTokenCount":7,"totalTokenCount":9}}\n\n'
    spoken = b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\n\n'
    reader = ReplyReader("gemini.generate", True, "")
    reader.events([*[spoken] * 5, last, spoken])
    assert reader.figures()["usage"] == [{"promptTokenCount": 7, "totalTokenCount": 9}]


def test_an_error_in_an_answer_is_told() -> None:
    stream, body = ReplyReader("openai.chat", True, ""), ReplyReader("openai.chat", False, "")
    stream.events([PLAIN] * 5)
    assert not stream.failed
    stream.events([b'data: {"error":{"message":"m"}}\n\n'])
    body.read(b'{"error":{"message":')
    body.read(b'"m"}}')
    assert stream.failed
    assert body.failed
