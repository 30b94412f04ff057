"""Directives in headers and in the prompt's text."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.local.endpoint_asks import Asks, read_asks


def test_text_and_headers_ask_and_the_header_wins() -> None:
    text = '{"content":"hello {{endpoint tokens=50 rate=7 usage=off}}"}'
    assert read_asks({}, text) == Asks(tokens=50, rate=7, mute=True)
    assert read_asks({"x-endpoint-tokens": "9", "x-endpoint-cut": "3"}, text) == Asks(
        tokens=9, rate=7, cut=3, mute=True
    )


def test_errors_are_statuses_of_errors() -> None:
    assert read_asks({"x-endpoint-error": "429"}, "") == Asks(error=429)
    assert read_asks({"x-endpoint-error": "200"}, "") == Asks()


@given(st.dictionaries(st.sampled_from(["x-endpoint-tokens", "x-endpoint-hang", "host"]), st.text()), st.text())
def test_nonsense_is_left_out(headers: dict[str, str], text: str) -> None:
    read_asks(headers, "{{endpoint " + text + "}}")
